"""Looking through the decoded frames of a data set, once: small pictures of every video, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
            pictures = np.concatenate([small(shard.read(entry, part, 1)) for part in parts])
            power = strength(changes(pictures))
            change = float(power.mean()) if len(power) else 0.0
            found[video_id] = Seen(entry.count, entry.frame_rate, entry.width, entry.height, change, pictures)
    return found


def small(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return frames (T, 3, H, W) as small grey pictures (T, SIDE, SIDE): means over fields that lie side by side."""
    grey = frames.mean(axis=1, dtype=np.float32)
    rows, columns = (_fields(count) for count in grey.shape[1:])
    return np.rint(rows @ grey @ columns.T).astype(np.uint8)


def _fields(count: int) -> NDArray[np.float32]:
    """Return the matrix (SIDE, count) of means over floor(i count / SIDE) … ceil((i + 1) count / SIDE) - 1."""
    edges, places = np.arange(SIDE + 1) * count, np.arange(count)
    first, behind = edges[:-1, None] // SIDE, -(-edges[1:, None] // SIDE)
    return ((places >= first) & (places < behind)) / np.float32(behind - first)
