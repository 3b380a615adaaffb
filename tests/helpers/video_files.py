"""Small videos for tests, encoded with the ffmpeg that the project uses."""

from __future__ import annotations

import functools
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.video.ffmpeg import ffmpeg_binary

Frames = NDArray[np.uint8]

_GRID = 4
#: Frames of larger videos are not kept.
_MOST_KEPT_BYTES = 2 << 20
_CODES = np.random.default_rng(5).permutation(1 << 16).astype(np.uint16)


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg; it must succeed."""
    subprocess.run([ffmpeg_binary(), "-nostdin", "-y", "-loglevel", "fatal", *arguments], check=True)


def write_video(path: Path, frames: Frames, *options: str, rate: str = "25", codec: str = "libx264") -> Path:
    """Encode `frames` (T, H, W, 3); `options` are ffmpeg's output options."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.ascontiguousarray(frames)
    if pixels.nbytes > _MOST_KEPT_BYTES:
        _encode(path, pixels.tobytes(), frames.shape, options, rate, codec)
    else:
        path.write_bytes(_encoded(path.suffix, pixels.tobytes(), frames.shape, options, rate, codec))
    return path


@functools.lru_cache(maxsize=200)
def _encoded(suffix: str, *about: Any) -> bytes:
    """Return the content of a video; tests write the same ones again and again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"video{suffix}")
        _encode(path, *about)
        return path.read_bytes()


def _encode(
    path: Path, content: bytes, shape: tuple[int, ...], options: tuple[str, ...], rate: str, codec: str
) -> None:
    count, height, width, _ = shape
    pixels = "yuv444p" if height % 2 or width % 2 else "yuv420p"
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "pipe:0"]
    command = [ffmpeg_binary(), "-y", "-loglevel", "error", *source, "-an", "-c:v", codec, "-pix_fmt", pixels]
    quality = ["-preset", "ultrafast", "-crf", "8"] if codec == "libx264" else []
    target = ["-frames:v", str(count), *quality, *options, f"file:{path}"]
    subprocess.run([*command, *target], input=content, check=True)


def joined(path: Path, parts: list[Path]) -> Path:
    """Put videos of one codec one behind the other, without encoding anew."""
    files = path.with_suffix(".txt")
    files.write_text("".join(f"file '{part.resolve()}'\n" for part in parts))
    ffmpeg("-f", "concat", "-safe", "0", "-i", str(files), "-c", "copy", str(path))
    return path


def numbered_frames(count: int, height: int, width: int) -> Frames:
    """Frames (count, height, width, 3) that carry their own number: 4 x 4 black or white blocks, a code for each."""
    bits = (_CODES[:count, None] >> np.arange(_GRID * _GRID)) & 1
    rows = np.arange(height) * _GRID // height
    columns = np.arange(width) * _GRID // width
    image = bits.reshape(count, _GRID, _GRID)[:, rows][:, :, columns] * 180 + 40
    return np.repeat(image[..., None], 3, axis=-1).astype(np.uint8)


def block_means(image: NDArray[np.generic]) -> NDArray[np.float64]:
    """Mean of the middle of each block of an image (H, W): (16,)."""
    height, width = image.shape[0] / _GRID, image.shape[1] / _GRID
    return np.array(
        [
            image[
                int((r + 0.3) * height) : int((r + 0.7) * height), int((c + 0.3) * width) : int((c + 0.7) * width)
            ].mean()
            for r in range(_GRID)
            for c in range(_GRID)
        ]
    )


def read_number(image: NDArray[np.uint8]) -> int:
    """Number that a frame (H, W, 3) of `numbered_frames` carries."""
    code = int(((block_means(image.mean(-1)) > 130) << np.arange(_GRID * _GRID)).sum())
    return int(np.flatnonzero(code == _CODES)[0])


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.float64]:
    """A smooth texture (height, width) of 20 to 235 with structure of about 8 pixels."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    smooth = np.fft.irfft2(spectrum * np.exp(-((frequency * 12) ** 2)), s=(height, width))
    return np.clip(128 + 45 * smooth / smooth.std(), 20, 235)


def shifted_frames(shifts: list[tuple[int, int]], height: int, width: int, margin: int = 24) -> Frames:
    """Frames (T, height, width, 3) of one texture that lies at x, y = shifts[t] pixels in frame t."""
    canvas = texture(height + 2 * margin, width + 2 * margin)
    cut = [canvas[margin - y : margin - y + height, margin - x : margin - x + width] for x, y in shifts]
    return np.repeat(np.stack(cut).round().astype(np.uint8)[..., None], 3, axis=-1)


def set_rotation_flag(path: Path) -> Path:
    """Write into the mp4 file that it is to be shown turned clockwise by 90 degrees, as telephones do."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 8
    struct.pack_into(">9i", content, matrix, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def make_videos(folder: Path, train: int = 8, validation: int = 4) -> None:
    """Write small videos of two classes, a bright bar that moves right or down, and their manifest."""
    rng = np.random.default_rng(0)
    rows = ["path,label,split"]
    for split, count in (("train", train), ("validation", validation)):
        for number in range(count):
            frames = rng.integers(60, 90, (8, 40, 48, 3)).astype(np.uint8)
            for t, frame in enumerate(frames):
                position = 4 * t + number
                (frame[:, position : position + 6] if number % 2 else frame[position : position + 6])[:] = 220
            name = f"{split}_{number:02}.mp4"
            write_video(folder / name, frames, rate="10")
            rows.append(f"{name},{'right' if number % 2 else 'down'},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
