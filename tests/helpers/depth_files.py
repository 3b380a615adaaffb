"""Files of depth for tests: folders of PNGs, and lossless videos of grey."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mml_core.video.ffmpeg import ffmpeg_binary

Maps = NDArray[np.uint8] | NDArray[np.uint16]


def numbered_maps(count: int, height: int, width: int, step_mm: int = 10) -> NDArray[np.uint16]:
    """Maps (count, height, width) in millimetres that carry their own number, from 600 on, and slope to the right."""
    return np.broadcast_to(
        600 + step_mm * np.arange(count)[:, None, None] + 1000 * (np.arange(width) // 4), (count, height, width)
    ).astype(np.uint16)


def write_png(path: Path, levels: Maps) -> Path:
    """Write one map (H, W) of 8 or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)
    return path


def write_maps(folder: Path, maps: Maps, name: str = "{:05d}.png", first: int = 0) -> Path:
    """Write `maps` (T, H, W) into `folder`, each as a PNG that `name` and its number, from `first` on, name."""
    for number, levels in enumerate(maps, first):
        write_png(folder / name.format(number), levels)
    return folder


def write_depth_video(path: Path, maps: NDArray[np.uint8], rate: str = "25") -> Path:
    """Write `maps` (T, H, W) as a video of grey without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, height, width = maps.shape
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", rate, "-i", "pipe:0"]
    command = [ffmpeg_binary(), "-y", "-loglevel", "error", *source, "-c:v", "ffv1", f"file:{path}"]
    subprocess.run(command, input=np.ascontiguousarray(maps).tobytes(), check=True)
    return path
