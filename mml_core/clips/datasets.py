"""A torch data set over shards: clips for training, each drawn from a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mml_core.clips.batches import Clip, Sample, make_target
from mml_core.clips.checks import check_frame_rates, check_labels, check_videos
from mml_core.clips.crops import Box, draw_corner_crop, draw_crop, draw_random_crop, resize, resize_into
from mml_core.clips.draws import ClipDraws
from mml_core.clips.flips import FlipPolicy, mirror
from mml_core.clips.levels import stack_length, view_pixels
from mml_core.clips.positions import Starts, draw_training_starts
from mml_core.clips.sampler import Key
from mml_core.clips.sound import read_windows
from mml_core.clips.time_labels import clip_span, labels_between
from mml_core.config.clips import ClipConfig
from mml_core.kinds import kind_of
from mml_core.pixels.ready import is_ready

if TYPE_CHECKING:
    from mml_core.shards import ModalityStore


class TrainingClips(Dataset[Clip]):
    """Training clips of a stage: the same frames, crop and flip for all its modalities.

    An item is asked for by (epoch, index of the sample) and depends on nothing but the epoch, the sample, the seed and
    the shards: not on the process that makes it, nor on items made before, nor on which other samples there are.
    Frames, crop and flip are those of every stage of that seed (`mml_core.clips.draws`). Where a sample has segments,
    the clip's labels are those of the segments that it shows a part of, the same for all modalities
    (`mml_core.clips.time_labels`). `clip_pixels` is how many pixels a clip has in all, of each channel by itself.
    """

    def __init__(
        self,
        stores: Mapping[str, ModalityStore],
        samples: Sequence[Sample],
        clip: ClipConfig,
        *,
        class_count: int,
        multi_label: bool,
        flip: FlipPolicy,
        seed: int,
    ) -> None:
        check_videos(stores, samples)
        check_labels(samples, class_count, multi_label=multi_label)
        check_frame_rates(stores, samples)
        self.stores, self.samples, self.clip = dict(stores), samples, clip
        self.class_count, self.multi_label = class_count, multi_label
        self.flip, self.seed = flip, seed
        kinds = {name: store.info.kind for name, store in stores.items()}
        self.lengths = {name: stack_length(kind, clip.stack) for name, kind in kinds.items()}
        self.clip_pixels = view_pixels(kinds.values(), clip, clip.segments, clip.crop_px)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Clip:
        """Return the clip of `key` = (epoch, index).

        Its inputs are uint8 (S * T, C, crop_px, crop_px), of sound int16 (S, 1, 1, W).
        """
        epoch, index = key
        sample = self.samples[index]
        draws = ClipDraws(self.seed, epoch, sample.video_id)
        entries = {name: store.videos[sample.video_id] for name, store in self.stores.items()}
        counts = {name: entry.count for name, entry in entries.items()}
        starts = draw_training_starts(counts, self.lengths, self.clip, draws)
        shared = next(iter(entries.values()))  # size and frame rate are those of all modalities
        box = self._draw_box(shared.height, shared.width, draws.stream("crop"))
        labels = sample.labels
        if sample.segments:
            labels = labels_between(sample.segments, *clip_span(starts, self.lengths, counts, shared.frame_rate))
        mirrored = self.flip.draw(labels, draws.stream("flip"))
        inputs = {}
        for name, store in self.stores.items():
            if not kind_of(store.info.kind).spatial:
                inputs[name] = read_windows(store, sample.video_id, starts[name][None], self.clip)[0]
                continue
            levels = self._stacks(name, sample.video_id, starts[name], box)
            inputs[name] = levels if mirrored is None else mirror(levels, store.info.kind)
        labels = labels if mirrored is None else mirrored
        return Clip(inputs, make_target(labels, self.class_count, multi_label=self.multi_label), sample.video_id)

    def _stacks(self, name: str, video_id: str, starts: Starts, box: Box) -> Tensor:
        """Return the stacks (S * T, L * C, P, P) at `starts` (S * T,) in `box`.

        Each item is decoded and resized once, in however many stacks it is.
        """
        store = self.stores[name]
        items = np.minimum(starts[:, None] + np.arange(self.lengths[name]), store.videos[video_id].count - 1)
        numbers, first, places = np.unique(items, return_index=True, return_inverse=True)
        kind, side = kind_of(store.info.kind), self.clip.crop_px
        stacks = np.empty((items.size, kind.channels, side, side), np.uint8)
        images = store.images(video_id, numbers.tolist(), box.part)
        if not is_ready():
            images = _resized_together(images, numbers, side, mixed=not kind.coloured)
        for image, place in zip(images, first.tolist(), strict=True):
            resize_into(image, stacks[place], mixed=not kind.coloured)
        for place, other in enumerate(first[places.ravel()].tolist()):
            if place != other:
                stacks[place] = stacks[other]
        return torch.from_numpy(stacks).view(len(starts), -1, side, side)

    def _draw_box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        match self.clip.crop_policy:
            case "multi_scale":
                return draw_crop(height, width, self.clip.crop_px, self.clip.crop_scales, rng)
            case "random":
                return draw_random_crop(height, width, self.clip.crop_scales, rng)
            case "corner":
                return draw_corner_crop(height, width, self.clip.crop_scales, rng)


def _resized_together(
    images: Iterator[NDArray[np.uint8]], numbers: NDArray[np.int64], side: int, *, mixed: bool
) -> NDArray[np.uint8]:
    """Return the images `numbers`, (U, C, side, side): PyTorch resizes several at a time in less time."""
    from mml_core.shards.reader import stacked

    levels = stacked(numbers[:, None], zip(numbers.tolist(), images, strict=True))
    return resize(torch.from_numpy(levels), side, mixed=mixed).numpy()
