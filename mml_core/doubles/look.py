"""Looking through the decoded frames of a data set, once: small pictures of every video, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from mml_core.doubles.motion import SIDE, changes, picture_numbers, strength
from mml_core.doubles.seen import Seen
from mml_core.runtime.parallel import progress
from mml_core.shards import ShardReader

#: Frames that are decoded together: bounds memory.
_AT_A_TIME = 32


def look(paths: Sequence[Path], workers: int) -> dict[str, Seen]:
    """Return what is seen of the videos, by id, in the shards of frames `paths`, `workers` shards at a time."""
    found: dict[str, Seen] = {}
    with progress(len(paths), "look", "shards") as bar:
        for one in _looked(paths, workers):
            found |= one
            bar.update()
    return found


def _looked(paths: Sequence[Path], workers: int) -> Iterator[dict[str, Seen]]:
    if workers == 1 or len(paths) < 2:
        yield from map(_look_at_shard, paths)
        return
    # h5py serialises threads
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_look_at_shard, paths)


def _look_at_shard(path: Path) -> dict[str, Seen]:
    found = {}
    with ShardReader(path) as shard:
        for video_id, entry in shard.videos.items():
            numbers = picture_numbers(entry.count, entry.frame_rate)
            parts = [numbers[first : first + _AT_A_TIME] for first in range(0, len(numbers), _AT_A_TIME)]
            pictures = np.concatenate([_small(shard.read(entry, part, 1).float()) for part in parts])
            power = strength(changes(pictures))
            change = float(power.mean()) if len(power) else 0.0
            found[video_id] = Seen(entry.count, entry.frame_rate, entry.width, entry.height, change, pictures)
    return found


def _small(frames: torch.Tensor) -> np.ndarray:
    """Return frames (T, 3, H, W) as small grey pictures (T, SIDE, SIDE), uint8."""
    grey = frames.mean(dim=1, keepdim=True)
    return adaptive_avg_pool2d(grey, SIDE)[:, 0].round().byte().numpy()
