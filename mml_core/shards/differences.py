"""Differences of stored frames, in steps of two grey levels (`mml_core.modalities.quantise`), and a store of such.

What makes shards of differences and what computes them when clips are read do so by the same function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mml_core.pixels.ready import is_ready
from mml_core.shards.reader import WHOLE, stacked
from mml_core.shards.schema import ShardInfo, VideoEntry

if TYPE_CHECKING:
    import torch

    from mml_core.shards.store import ModalityStore


def difference_levels(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the levels (P, C, H, W) of the differences of neighbouring `frames` (P + 1, C, H, W)."""
    levels = np.empty_like(frames[1:])
    for made, later in zip(levels, pair_levels(pairwise(frames)), strict=True):
        made[...] = later
    return levels


def pair_levels(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Iterator[NDArray[np.uint8]]:
    """Yield, for each pair of frames of one shape, the levels of the second less the first: 128 + round(d / 2).

    Halves are rounded to even and levels are at most 255, as `difference_to_levels` does; in eight bits throughout,
    a tenth of the time. What is yielded is written over for the next pair.
    """
    levels: NDArray[np.uint8] | None = None
    for earlier, later in pairs:
        if levels is None:
            levels, mixed, spare = (np.empty_like(earlier) for _ in range(3))
        # With y = 255 - x, floor((later - earlier) / 2) + 128 is the mean of `later` and y, rounded upwards, and
        # the mean of two numbers is (a | b) - ((a ^ b) >> 1).
        np.invert(earlier, out=spare)
        np.bitwise_or(later, spare, out=levels)
        np.bitwise_xor(later, spare, out=mixed)
        np.right_shift(mixed, 1, out=spare)
        np.subtract(levels, spare, out=levels)
        # An odd difference, whose last bit of a ^ b is 0, was rounded down: an odd level is to be the even one above.
        np.invert(mixed, out=mixed)
        np.bitwise_and(mixed, levels, out=mixed)
        np.bitwise_and(mixed, 1, out=mixed)
        np.add(levels, mixed, out=spare)
        np.maximum(levels, spare, out=levels)  # 255 stays, where 256 would be 0
        yield levels


class FrameDifferences:
    """Differences of the frames of a store, computed when they are read: what clips ask of a `ModalityStore`.

    Videos, those that are missing and why, and damage are those of the frames. Each frame of a call is decoded once.

    Args:
        frames: the store of frames, which may be read by itself beside.
        info: what shards of these differences would say about themselves.
    """

    def __init__(self, frames: ModalityStore, info: ShardInfo) -> None:
        self._frames, self.info = frames, info
        self.videos: Mapping[str, VideoEntry] = {
            video: replace(entry, count=entry.count - 1) for video, entry in frames.videos.items()
        }

    @classmethod
    def of(cls, frames: ModalityStore, modality: str, settings: Mapping[str, Any]) -> FrameDifferences:
        """Return the modality `modality` with these `settings`, made of the store `frames`."""
        source = {"settings": frames.info.settings, "software": frames.info.software}
        return cls(frames, ShardInfo("diff", modality, settings, source))

    @property
    def quarantined(self) -> Mapping[str, str]:
        """Videos that are missing because of a fault, with the reason."""
        return self._frames.quarantined

    @property
    def notes(self) -> Mapping[str, str]:
        """What is to be told of videos that can be read."""
        return self._frames.notes

    @property
    def checksums(self) -> list[str]:
        """The checksums of the frames' shards."""
        return self._frames.checksums

    def read(
        self, video_id: str, starts: Sequence[int], length: int, part: tuple[slice, slice] = WHOLE
    ) -> torch.Tensor:
        """Return levels as `ModalityStore.read`: uint8 (len(starts), length * 3, H, W)."""
        import torch

        wanted = np.minimum(np.array(starts)[:, None] + np.arange(length), self.videos[video_id].count - 1)
        numbers = np.unique(wanted)
        needed = np.union1d(numbers, numbers + 1)
        frames = self._frames.read(video_id, needed.tolist(), 1, part).numpy()
        places = np.searchsorted(needed, numbers).tolist()
        levels = pair_levels((frames[place], frames[place + 1]) for place in places)
        return torch.from_numpy(stacked(wanted, zip(numbers.tolist(), levels, strict=True)))

    def images(
        self, video_id: str, numbers: Sequence[int], part: tuple[slice, slice] = WHOLE
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield levels as `ModalityStore.images`: uint8 (3, H, W), each of which is written over for the next."""
        wanted = set(numbers)
        needed = sorted(wanted | {number + 1 for number in numbers})
        frames = zip(needed, self._frames.images(video_id, needed, part), strict=True)
        pairs = ((a, b) for (number, a), (_, b) in pairwise(frames) if number in wanted)
        return _compiled_levels(pairs) if is_ready() else pair_levels(pairs)

    def close(self) -> None:
        """Close all files; reading opens them again."""
        self._frames.close()


def _compiled_levels(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Iterator[NDArray[np.uint8]]:
    """Yield what `pair_levels` does, by compiled code."""
    from mml_core.pixels.differences import can_subtract, difference_into

    levels: NDArray[np.uint8] | None = None
    for earlier, later in pairs:
        if not can_subtract(earlier):
            yield from pair_levels([(earlier, later)])
            continue
        if levels is None:
            levels = np.empty(earlier.transpose(1, 2, 0).shape, np.uint8)
        difference_into(earlier, later, levels)
        yield levels.transpose(2, 0, 1)
