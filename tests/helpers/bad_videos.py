"""A corpus of videos that are damaged, strange or hostile, made from good ones, and of sound ones that look damaged.

    python tests/bad_videos.py FOLDER [--full] [--seed N]

writes the files and `corpus.csv`, with what was done to each.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from noisy_videos import noisy_videos
from video_files import ffmpeg, joined, numbered_frames, set_rotation_flag, write_video

from mml_core.video.ffmpeg import ffmpeg_binary

#: What must become of a video: decoded, quarantined, or either, where it depends on what the damage hit.
Fate = Literal["decoded", "quarantined", "either"]


class Made(NamedTuple):
    """A file of the corpus, what kind of fault it has, what must become of it, and words that its reason may have."""

    path: Path
    kind: str
    fate: Fate
    reasons: tuple[str, ...] = ()


#: Name of a base video -> codec, ffmpeg's output options.
BASES = {
    "h264.mp4": ("libx264", []),
    "h264_start.mp4": ("libx264", ["-movflags", "+faststart"]),
    "h264.mkv": ("libx264", []),
    "h264.mov": ("libx264", []),
    "h264.ts": ("libx264", []),
    "h264.flv": ("libx264", []),
    "fragmented.mp4": ("libx264", ["-movflags", "frag_keyframe+empty_moov", "-g", "6"]),
    "mpeg4.avi": ("mpeg4", ["-q:v", "3"]),
    "mjpeg.avi": ("mjpeg", ["-q:v", "3"]),
    "mpeg2.mpg": ("mpeg2video", ["-q:v", "3"]),
    "vp8.webm": ("libvpx", ["-b:v", "500k", "-deadline", "realtime"]),
    "vp9.webm": ("libvpx-vp9", ["-b:v", "500k", "-deadline", "realtime", "-cpu-used", "8"]),
    "hevc.mp4": ("libx265", ["-preset", "ultrafast", "-x265-params", "log-level=none"]),
    "ffv1.mkv": ("ffv1", []),
}
#: Containers that say how long they are and are refused where anything is missing.
STRICT = ("h264.mp4", "h264_start.mp4", "h264.mov", "h264.mkv", "hevc.mp4")
DECODING = (
    "decoding failed",
    "cannot be opened",
    "no video stream",
    "too short",
    "the shape of the picture",
    "empty file",
    "decoding needs more memory",
)
#: What damage to a header may look like, too.
CONTAINER = ("not a video in a known container", "too long", "timed out", "sides differ")


def corpus(folder: Path, *, full: bool, seed: int = 0) -> list[Made]:
    """Write the corpus to `folder` and return what is in it: 1,000 files where `full`, else some 100."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(BASES) if full else ["h264.mp4", "h264.mkv", "mpeg4.avi", "vp9.webm"]
    frames = numbered_frames(24, 96, 128)
    bases = {}
    for name in names:
        codec, options = BASES[name]
        bases[name] = write_video(folder / f"good_{name}", frames, *options, codec=codec)
    made = [Made(path, "undamaged", "decoded") for path in bases.values()]
    made += _truncated(folder, bases, range(0, 10) if full else (0, 3, 7, 9))
    made += _flipped(folder, bases, 16 if full else 2, seed)
    made += _strange(folder)
    if full:
        made += _large(folder)
    sound = noisy_videos(folder, full=full, seed=seed)
    made += [Made(noisy.path, f"sound: {noisy.kind}", "decoded") for noisy in sound]
    return made


def _truncated(folder: Path, bases: dict[str, Path], tenths: range | tuple[int, ...]) -> Iterator[Made]:
    for name, base in bases.items():
        content = base.read_bytes()
        for tenth in tenths:
            path = folder / f"truncated_{tenth}_{name}"
            path.write_bytes(content[: len(content) * tenth // 10])
            yield Made(path, "truncated", "quarantined" if tenth == 0 or name in STRICT else "either", DECODING)


def _flipped(folder: Path, bases: dict[str, Path], count: int, seed: int) -> Iterator[Made]:
    """Change bits of the first kilobyte, and of all that follows it."""
    for name, base in bases.items():
        for place, first, last in (("header", 0, 1024), ("payload", 1024, None)):
            for number in range(count):
                content = bytearray(base.read_bytes())
                rng = random.Random(f"{seed}/{name}/{place}/{number}")
                for _ in range(rng.choice((1, 1, 8, 64))):
                    content[rng.randrange(first, min(last or len(content), len(content)))] ^= 1 << rng.randrange(8)
                path = folder / f"flipped_{place}_{number}_{name}"
                path.write_bytes(content)
                yield Made(path, f"bits flipped in the {place}", "either", (*DECODING, *CONTAINER))


def _strange(folder: Path) -> Iterator[Made]:
    frames = numbered_frames(12, 64, 96)

    def video(name: str, *options: str, codec: str = "libx264", rate: str = "25") -> Path:
        return write_video(folder / name, frames, *options, codec=codec, rate=rate)

    def generated(name: str, source: str, *options: str) -> Path:
        ffmpeg("-f", "lavfi", "-i", source, *options, str(folder / name))
        return folder / name

    (folder / "empty.mp4").touch()
    yield Made(folder / "empty.mp4", "zero bytes", "quarantined", ("empty file",))
    for name, content in (
        ("text", b"hello\n" * 500),
        ("html", b"<html><body>404 Not Found</body></html>\n"),
        ("zeros", bytes(9999)),
    ):
        (folder / f"{name}.mp4").write_bytes(content)
        yield Made(folder / f"{name}.mp4", "no video", "quarantined", ("cannot be opened", "not a video"))
    yield Made(generated("sound.mp4", "sine=d=0.5"), "audio only", "quarantined", ("no video stream",))
    for count in (1, 2):
        path = write_video(folder / f"{count}_frames.mp4", frames[:count])
        yield Made(path, f"{count} frames", "quarantined" if count == 1 else "decoded", ("too short: 1 frames",))
    for height, width in ((65, 97), (33, 31), (1, 1), (1, 5), (3, 3), (2, 200)):
        path = write_video(folder / f"{width}x{height}.mkv", numbered_frames(6, height, width), codec="ffv1")
        fate = "quarantined" if max(height, width) > 8 * min(height, width) else "decoded"
        yield Made(path, f"{width} x {height} pixels", fate, ("sides differ",))
    for pixels in ("yuv420p10le", "yuv422p", "yuv444p", "gray", "gray10le", "yuv444p10le", "gbrp"):
        yield Made(video(f"{pixels}.mp4", "-pix_fmt", pixels), f"pixels {pixels}", "decoded")
    for pixels in ("rgba", "bgr0", "yuva420p", "rgb48le", "gray16le"):
        yield Made(video(f"{pixels}.mkv", "-pix_fmt", pixels, codec="ffv1"), f"pixels {pixels}", "decoded")
    alpha = video("alpha.webm", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", codec="libvpx")
    yield Made(alpha, "pixels with alpha, vp8", "decoded")
    interlaced = video("interlaced.mpg", "-flags", "+ildct+ilme", "-q:v", "3", codec="mpeg2video")
    yield Made(interlaced, "interlaced", "decoded")
    vfr = video("vfr.mkv", "-vf", "setpts='if(mod(N,3),N,N+0.4)/25/TB'", "-fps_mode", "passthrough")
    yield Made(vfr, "variable frame rate", "decoded")
    yield Made(set_rotation_flag(video("turned.mp4")), "rotated by 90 degrees", "decoded")
    parts = [write_video(folder / f"part_{height}.ts", numbered_frames(6, height, 96)) for height in (64, 96)]
    yield Made(
        joined(folder / "joined.ts", parts), "resolution changes", "quarantined", ("the shape of the picture changes",)
    )
    (folder / "changes.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    yield Made(
        folder / "changes.ts", "resolution changes", "quarantined", ("the shape of the picture", "decoding failed")
    )
    yield from _headers(folder)
    yield Made(
        generated("black.mp4", "color=black:s=64x48:r=25:d=1000", "-preset", "ultrafast"),
        "a thousand seconds of black",
        "quarantined",
        ("too long",),
    )
    yield Made(
        generated("slow.mp4", "color=black:s=64x48:r=1:d=1000", "-preset", "ultrafast"),
        "a thousand seconds, a frame a second",
        "decoded",
    )


def _headers(folder: Path) -> Iterator[Made]:
    frames = numbered_frames(12, 64, 96)
    path = write_video(folder / "no_index.mp4", frames)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    yield Made(path, "missing index", "quarantined", ("cannot be opened",))
    path = write_video(folder / "no_index.avi", frames, codec="mpeg4")
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"idx1")])
    yield Made(path, "missing index", "either", DECODING)
    for name, seconds in (("short", 1), ("long", 1 << 30)):
        path = write_video(folder / f"duration_{name}.mp4", frames)
        content = bytearray(path.read_bytes())
        for atom, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
            place = content.index(atom) + offset
            content[place : place + 4] = seconds.to_bytes(4, "big")
        path.write_bytes(content)
        yield Made(path, f"duration in the header too {name}", "either", DECODING)
    claims = write_video(folder / "claims_pixels.avi", frames, codec="mpeg4")
    content = bytearray(claims.read_bytes())
    place = content.index(b"strf") + 12
    content[place : place + 8] = (65_000).to_bytes(4, "little") * 2
    claims.write_bytes(content)
    yield Made(claims, "claims 65,000 x 65,000 pixels", "either", DECODING)


def _large(folder: Path) -> Iterator[Made]:
    options = ["-frames:v", "3", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"]
    for name, size in (("8k", "7680x4320"), ("over", "16384x8192")):
        path = folder / f"{name}.mkv"
        command = [
            ffmpeg_binary(),
            "-nostdin",
            "-y",
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            f"testsrc2=s={size}:r=25",
        ]
        subprocess.run([*command, *options, str(path)], check=True)
        yield Made(
            path,
            f"{size} pixels",
            "decoded" if name == "8k" else "quarantined",
            ("cannot be opened", "decoding failed"),
        )


def main() -> None:
    """Write the corpus that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true", help="all of them: some 1,000 files")
    parser.add_argument("--seed", type=int, default=0, help="of the bits that are flipped")
    arguments = parser.parse_args()
    made = corpus(arguments.folder, full=arguments.full, seed=arguments.seed)
    with (arguments.folder / "corpus.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "kind", "fate"])
        writer.writerows((entry.path.name, entry.kind, entry.fate) for entry in made)
    print(f"{len(made)} files in {arguments.folder}")


if __name__ == "__main__":
    main()
