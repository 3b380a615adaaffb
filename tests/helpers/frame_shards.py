"""Shards of decoded frames for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mml_core.shards.images import encode_rgb
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter


def shard_of_videos(path: Path, videos: Mapping[str, np.ndarray], quality: int = 90) -> Path:
    """A shard of `videos` (id to frames (T, H, W, 3)) whose frames are stored as they are given."""
    with ShardWriter(path, ShardInfo("rgb", "rgb", {"quality": quality})) as writer:
        for name, frames in videos.items():
            images = [encode_rgb(frame, quality) for frame in frames]
            writer.add(name, images, height=frames.shape[1], width=frames.shape[2], frame_rate=25.0)
    return path


def shard_of_images(path: Path, frames: np.ndarray, quality: int = 90) -> Path:
    """A shard of one video `v` whose frames are stored as they are given."""
    return shard_of_videos(path, {"v": frames}, quality)
