"""Sound videos of which ffmpeg says something at level error all the same, made from clean ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from video_files import ffmpeg, numbered_frames, write_video

#: Of a base: ffmpeg's options for its picture and for its sound, by name of the file.
_SOUNDS = {
    "aac.mp4": (["-c:v", "libx264", "-preset", "ultrafast"], ["-c:a", "aac"]),
    "mp3.avi": (["-c:v", "mpeg4", "-q:v", "3"], ["-c:a", "libmp3lame"]),
    "mp2.mpg": (["-c:v", "mpeg2video", "-q:v", "3"], ["-c:a", "mp2"]),
    "ac3.mkv": (["-c:v", "libx264", "-preset", "ultrafast"], ["-c:a", "ac3"]),
    "aac.mov": (["-c:v", "libx264", "-preset", "ultrafast"], ["-c:a", "aac"]),
    "opus.webm": (["-c:v", "libvpx", "-b:v", "500k", "-deadline", "realtime"], ["-c:a", "libopus"]),
}
_REPEATS = {
    "times.webm": ("libvpx", ["-b:v", "500k", "-deadline", "realtime"]),
    "times.mkv": ("mjpeg", ["-q:v", "3"]),
    "times.mp4": ("libx264", ["-bf", "0"]),
}
_LONG_FRAMES, _GROUP = 96, 12


class Noisy(NamedTuple):
    """A video, what is strange about it, and a clean one, whose frames it shows so many times; 0: some of them."""

    path: Path
    kind: str
    whole: Path
    shown: int = 1


def noisy_videos(folder: Path, *, full: bool, seed: int = 0) -> list[Noisy]:
    """Write the videos to `folder`: some 400 where `full`, else some 40."""
    folder.mkdir(parents=True, exist_ok=True)
    clean = write_video(folder / "clean.mkv", numbered_frames(24, 96, 128))
    return [
        *_sound(folder, clean, 44 if full else 3),
        *_times(folder, range(2, 22) if full else (5, 11, 16)),
        *_joined(folder),
        *_cuts(folder, range(1, 85) if full else (13, 30)),
        *_beside(folder, clean, 12 if full else 2, seed),
    ]


def _sound(folder: Path, clean: Path, count: int) -> Iterator[Noisy]:
    """Damage every packet of the sound, at random."""
    for name, (picture, sound) in _SOUNDS.items():
        whole = folder / f"sound_{name}"
        tone = ["-f", "lavfi", "-i", "sine=d=1:r=48000"]
        ffmpeg("-i", str(clean), *tone, *picture, "-pix_fmt", "yuv420p", *sound, str(whole))
        for number in range(count):
            path = folder / f"sound_{number}_{name}"
            damage = f"noise=amount={2 + number}"
            ffmpeg("-i", str(whole), "-c", "copy", "-bsf:a", damage, str(path))
            yield Noisy(path, "damaged sound", whole)


def _times(folder: Path, places: range | tuple[int, ...]) -> Iterator[Noisy]:
    """Let two frames have the same time."""
    for name, (codec, options) in _REPEATS.items():
        whole = write_video(folder / name, numbered_frames(24, 96, 128), *options, codec=codec)
        for place in places:
            path = folder / f"repeated_{place}_{name}"
            times = f"setts=ts=if(eq(N\\,{place})\\,PREV_OUTPTS\\,PTS)"
            ffmpeg("-i", str(whole), "-c", "copy", "-bsf:v", times, str(path))
            yield Noisy(path, "a repeated time", whole)
    fast = write_video(folder / "whole_fast.mkv", numbered_frames(24, 96, 128), rate="2000", codec="mjpeg")
    yield Noisy(fast, "more frames than its clock has times", fast)


def _joined(folder: Path) -> Iterator[Noisy]:
    """Put a file behind itself, so that its times begin anew."""
    for codec in ("mpeg1video", "mpeg2video"):
        whole = write_video(folder / f"{codec}.mpg", numbered_frames(24, 96, 128), "-q:v", "3", codec=codec)
        path = folder / f"joined_{codec}.mpg"
        path.write_bytes(whole.read_bytes() * 2)
        yield Noisy(path, "times that begin anew", whole, shown=2)


def _cuts(folder: Path, places: range | tuple[int, ...]) -> Iterator[Noisy]:
    """Cut a video with open groups of pictures, without encoding it anew."""
    frames = numbered_frames(_LONG_FRAMES, 96, 128)
    groups = ["-preset", "veryfast", "-g", str(_GROUP), "-sc_threshold", "0", "-bf", "3"]
    whole = write_video(folder / "open.mkv", frames, *groups, "-x264-params", "open-gop=1:b-adapt=0:ref=4")
    for place in places:
        ending = ("mkv", "mp4", "flv")[place % 3]
        path = folder / f"cut_{place}.{ending}"
        ffmpeg("-ss", str(place / 25), "-i", str(whole), "-t", "0.8", "-c", "copy", str(path))
        yield Noisy(path, "cut before an open group", whole, shown=0)
    parts = folder / "cut_in_%d.mkv"
    ffmpeg(
        "-i", str(whole), "-c", "copy", "-f", "segment", "-segment_time", "0.96", "-reset_timestamps", "1", str(parts)
    )
    for path in sorted(folder.glob("cut_in_*.mkv")):
        yield Noisy(path, "cut into parts at open groups", whole, shown=0)


def _beside(folder: Path, clean: Path, count: int, seed: int) -> Iterator[Noisy]:
    """Damage what is beside the picture: chapters, a cover, another video, tags, notes of the encoder."""
    (folder / "chapters.txt").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=a\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=400\n"
        "END=900\ntitle=b\n"
    )
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64", "-frames:v", "1", str(folder / "cover.png"))
    more = ["-i", str(folder / "chapters.txt"), "-i", str(folder / "cover.png")]
    copied = ["-map", "0", "-map", "2", "-map_chapters", "1", "-c", "copy", "-disposition:v:1", "attached_pic"]
    whole = folder / "rich.mp4"
    ffmpeg("-i", str(clean), *more, *copied, str(whole))
    content = whole.read_bytes()
    gone = bytearray(content)
    at = gone.index(b"chap", gone.index(b"tref")) + 4
    gone[at : at + 4] = (99).to_bytes(4, "big")
    (folder / "chapters_gone.mp4").write_bytes(gone)
    yield Noisy(folder / "chapters_gone.mp4", "the track of chapters is missing", whole)
    note = bytearray(content)
    note[note.index(bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")) - 1] += 100  # its length
    (folder / "note.mp4").write_bytes(note)
    yield Noisy(folder / "note.mp4", "a note of the encoder that is longer than there is", whole)
    for number in range(count):
        damaged = bytearray(content)
        rng = random.Random(f"{seed}/{number}")
        start = damaged.index(b"\x89PNG") + 16
        for _ in range(20):
            damaged[start + rng.randrange(900)] ^= 1 << rng.randrange(8)
        (folder / f"cover_{number}.mp4").write_bytes(damaged)
        yield Noisy(folder / f"cover_{number}.mp4", "a damaged cover", whole)
        path = folder / f"second_{number}.mkv"
        damage = f"noise=amount={9 + number}"
        ffmpeg("-i", str(clean), "-map", "0", "-map", "0", "-c", "copy", "-bsf:v:1", damage, str(path))
        yield Noisy(path, "a second video that is damaged", whole)
    whole = folder / "tags.flv"
    ffmpeg("-i", str(clean), "-c", "copy", str(whole))
    tags = bytearray(whole.read_bytes())
    tags[tags.index(b"encoder") + len(b"encoder")] = 0x20
    (folder / "tags_damaged.flv").write_bytes(tags)
    yield Noisy(folder / "tags_damaged.flv", "damaged tags", whole)
