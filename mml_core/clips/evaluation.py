"""A torch data set over shards: all views of each video under a test protocol, the same every time."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mml_core.clips.batches import Clip, Sample, make_target
from mml_core.clips.checks import check_videos
from mml_core.clips.colours import coloured
from mml_core.clips.crops import evaluation_crops, evaluation_side, resize
from mml_core.clips.flips import mirror
from mml_core.clips.levels import stack_length, still_level, view_pixels
from mml_core.clips.noise import noisy_item
from mml_core.clips.positions import Starts, clip_count, evaluation_starts, start_positions
from mml_core.clips.sound import read_windows
from mml_core.config.clips import ClipConfig
from mml_core.config.depth import Colours
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.kinds import kind_of

if TYPE_CHECKING:
    from mml_core.shards import ModalityStore

#: Items of a video that are in memory in full size at a time.
_READ_TOGETHER = 32


class EvaluationClips(Dataset[Clip]):
    """All views of each video under one protocol: its clips, each in all its crops.

    A video's views are ordered by clip (dense ones first, then uniform ones, or all in their order), then by crop.
    `view_counts` holds the number V of views of each video, `frames` the input frames F = S * T of a view, `side` the
    side of crops in pixels, `view_pixels` how many a view has in all. None of them needs a video to be read.

    Modalities that the protocol calls missing have no store and no views; `absent` are those that networks would read,
    by name with their kinds, so that the views of all others are those that they would have beside them. `colours` is
    the colour map of those that have noise on their colours: their views are colours, and not levels.
    """

    def __init__(
        self,
        stores: Mapping[str, ModalityStore],
        samples: Sequence[Sample],
        clip: ClipConfig,
        protocol: ProtocolConfig,
        *,
        class_count: int,
        multi_label: bool,
        absent: Mapping[str, str] | None = None,
        colours: Colours = "jet",
    ) -> None:
        if misfit := protocol.misfit(clip):
            raise InputError(f"protocol: {misfit}")
        check_videos(stores, samples)
        self.stores, self.samples, self.clip, self.protocol = dict(stores), list(samples), clip, protocol
        self.class_count, self.multi_label = class_count, multi_label
        self.absent, self.colours = dict(absent or {}), colours
        kinds = {**self.absent, **{name: store.info.kind for name, store in stores.items()}}
        self.lengths = {name: stack_length(kind, clip.stack) for name, kind in kinds.items()}
        self.frames = protocol.segments_of(clip) * clip.frames
        self.side = self._one_side()
        self.view_counts = [self._count_views(sample.video_id) for sample in self.samples]
        seen = [store.info.kind for store in stores.values()]
        self.view_pixels = view_pixels(seen, clip, protocol.segments_of(clip), self.side)

    def part(self, indices: Sequence[int]) -> Self:
        """Return a data set of the videos `indices` alone."""
        chosen = copy.copy(self)
        chosen.samples = [self.samples[index] for index in indices]
        chosen.view_counts = [self.view_counts[index] for index in indices]
        return chosen

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Clip:
        """Return the views of sample `index`, uint8 (V, F, C, side, side), of sound int16 (V, S, 1, 1, W)."""
        sample = self.samples[index]
        starts = evaluation_starts(self._items(sample.video_id), self.lengths, self.clip, self.protocol)
        inputs = {name: self._views(name, sample.video_id, starts[name]) for name in self.stores}
        target = make_target(sample.labels, self.class_count, multi_label=self.multi_label)
        return Clip(inputs, target, sample.video_id)

    def _items(self, video_id: str) -> dict[str, int]:
        """Return how many items a video has of each modality, or would have of those that are absent."""
        counts = {name: store.videos[video_id].count for name, store in self.stores.items()}
        name, store = next(iter(self.stores.items()))
        frames = counts[name] + kind_of(store.info.kind).fewer
        return counts | {name: frames - kind_of(kind).fewer for name, kind in self.absent.items()}

    def _count_views(self, video_id: str) -> int:
        positions = min(start_positions(items, self.lengths[name]) for name, items in self._items(video_id).items())
        return clip_count(positions, self.clip, self.protocol) * self.protocol.crops

    def _one_side(self) -> int:
        """Return the side of crops; raises InputError where they would differ in size and could not share a batch."""
        videos = next(iter(self.stores.values())).videos
        entries = [videos[sample.video_id] for sample in self.samples]
        crop, crop_px = self.protocol.crop, self.clip.crop_px
        sides = {evaluation_side(entry.height, entry.width, crop_px, crop) for entry in entries} or {crop_px}
        if len(sides) > 1:
            raise InputError(
                f"crop: {crop} needs videos of one shorter side, got {sorted(sides)} px",
                hint="use crop: center, or decode all videos to the same short_side_px",
            )
        return sides.pop()

    def _views(self, name: str, video_id: str, starts: Starts) -> Tensor:
        """Return the views (V, F, L * C, side, side) of one modality whose clips show the stacks at `starts` (K, F).

        Of sound, which is the same in all crops, they are (V, S, 1, 1, W).
        """
        store, length, crops = self.stores[name], self.lengths[name], self.protocol.crops
        clips, frames = starts.shape
        kind = kind_of(store.info.kind)
        if not kind.spatial:
            shown = starts[:, [frames // 2] * frames] if self.protocol.static else starts
            windows = read_windows(store, video_id, shown, self.clip)
            return windows.repeat_interleave(crops, dim=0)
        channels = kind.input_channels if self._as_colours(name) else kind.channels
        shape = (clips, crops, frames, length, channels, self.side, self.side)
        if self.protocol.static:
            if (still := still_level(store.info.kind)) is not None:
                return _as_views(torch.full(shape, still, dtype=torch.uint8))
            starts = starts[:, [frames // 2]]
        items = np.minimum(starts[..., None] + np.arange(length), store.videos[video_id].count - 1)
        numbers, places = np.unique(items, return_inverse=True)
        pictures = self._crops(name, video_id, numbers.tolist())
        views = torch.empty(shape, dtype=torch.uint8)
        for number, cut in enumerate(pictures):
            views[:, number] = cut[torch.from_numpy(places.reshape(items.shape))]  # a static clip's frame fills all F
        return _as_views(views)

    def _crops(self, name: str, video_id: str, numbers: Sequence[int]) -> Tensor:
        """Return all crops (crops, U, C, side, side) of the U items `numbers`, each of which is read once."""
        store = self.stores[name]
        entry, kind = store.videos[video_id], store.info.kind
        boxes = evaluation_crops(entry.height, entry.width, self.clip.crop_px, self.protocol.crop)
        parts = []
        for first in range(0, len(numbers), _READ_TOGETHER):
            levels = self._read(name, video_id, numbers[first : first + _READ_TOGETHER])
            cuts = [(box, resize(box.cut(levels), self.side, mixed=not kind_of(kind).coloured)) for box in boxes]
            parts.append(torch.stack([mirror(cut, kind) if box.mirrored else cut for box, cut in cuts]))
        return torch.cat(parts, dim=1)

    def _read(self, name: str, video_id: str, numbers: Sequence[int]) -> Tensor:
        """Return the items `numbers` of a video, (U, C, H, W), with the protocol's noise where it has some."""
        store, noise = self.stores[name], self.protocol.noise.get(name)
        levels = store.read(video_id, numbers, 1)
        if noise is None:
            return levels
        range_mm = None
        if self._as_colours(name):
            levels = coloured(levels, self.colours)
        elif kind_of(store.info.kind).coloured:
            range_mm = tuple(store.info.settings["range_mm"])
        zero = still_level(store.info.kind) or 0
        items = zip(numbers, levels, strict=True)
        return torch.stack([noisy_item(item, noise, name, video_id, number, zero, range_mm) for number, item in items])

    def _as_colours(self, name: str) -> bool:
        """Whether a modality that networks see by a colour map is noisy behind it."""
        noise = self.protocol.noise.get(name)
        return noise is not None and noise.of == "colours" and kind_of(self.stores[name].info.kind).coloured


def _as_views(levels: Tensor) -> Tensor:
    """Return (K, crops, F, L, C, P, P) as views (K * crops, F, L * C, P, P)."""
    return levels.flatten(3, 4).flatten(0, 1)
