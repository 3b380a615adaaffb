"""Videos whose flashes and beeps coincide: a beep is as long as the bright frame that it belongs to."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mml_core.video.ffmpeg import ffmpeg_binary

HEIGHT, WIDTH = 32, 48
#: Of beeps.
TONE_HZ = 3000
LOUD = 20_000


def flashes(count: int, bright: Sequence[int]) -> NDArray[np.uint8]:
    """Dark frames (count, H, W, 3), of which those of the numbers `bright` are white."""
    frames = np.full((count, HEIGHT, WIDTH, 3), 16, np.uint8)
    frames[list(bright)] = 235
    return frames


def beeps(spans_sec: Sequence[tuple[float, float]], length_sec: float, rate_hz: int = 48_000) -> NDArray[np.int16]:
    """Sound (n,) that is a tone in these spans, and silence elsewhere."""
    times = np.arange(round(length_sec * rate_hz)) / rate_hz
    on = np.zeros(len(times), bool)
    for first, stop in spans_sec:
        on |= (times >= first) & (times < stop)
    return (on * LOUD * np.cos(2 * np.pi * TONE_HZ * times)).astype(np.int16)


def write_wave(path: Path, samples: NDArray[np.int16], rate_hz: int = 48_000) -> Path:
    """Write samples (n,) or (n, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1 if samples.ndim == 1 else samples.shape[1], 2, rate_hz, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def write_sounding(
    path: Path,
    frames: NDArray[np.uint8],
    *sounds: Path,
    rate: str = "25",
    codec: str = "flac",
    late_sec: float = 0.0,
    picture: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Path:
    """Encode `frames` (T, H, W, 3) with the waves `sounds` as tracks, which begin `late_sec` after the frames.

    late_sec: negative, the frames begin so much later. picture: options of the frames' stream; options: of the file.
    """
    _, height, width, _ = frames.shape
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-framerate", rate]
    late, early = (["-itsoffset", str(sec)] if sec > 0 else [] for sec in (late_sec, -late_sec))
    inputs = [*early, *raw, "-i", "pipe:0"]
    for sound in sounds:
        inputs += [*late, "-i", str(sound)]
    maps = [word for number in range(len(sounds) + 1) for word in ("-map", str(number))]
    video = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", *picture]
    command = [ffmpeg_binary(), "-y", "-loglevel", "error", *inputs, *maps, *video, "-c:a", codec, *options, str(path)]
    subprocess.run(command, input=np.ascontiguousarray(frames).tobytes(), check=True)
    return path
