"""Torch data sets over shards: clips for training, drawn from a key; all views of a video for evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mml_core.clips.batches import Clip, Sample, make_target
from mml_core.clips.crops import Box, draw_crop, draw_random_crop, evaluation_crops, evaluation_side, resize
from mml_core.clips.flips import FlipPolicy, mirror
from mml_core.clips.levels import stack_length
from mml_core.clips.positions import draw_training_starts, evaluation_starts
from mml_core.clips.sampler import Key
from mml_core.clips.time_labels import clip_span, labels_between
from mml_core.config.clips import ClipConfig
from mml_core.config.tables import ProtocolConfig
from mml_core.errors import InputError, summarise
from mml_core.kinds import kind_of

if TYPE_CHECKING:
    from mml_core.shards import ModalityStore


class TrainingClips(Dataset[Clip]):
    """Training clips of a stage: the same frames, crop and flip for all its modalities.

    An item is asked for by (epoch, index of the sample) and depends on nothing but that key, the seed and the shards:
    not on the process that makes it, nor on the items made before. Where a sample has segments, the clip's labels are
    those of the segments that it shows a part of, the same for all modalities (`mml_core.clips.time_labels`).
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
        _check_videos(stores, samples)
        _check_labels(samples, class_count, multi_label=multi_label)
        _check_frame_rates(stores, samples)
        self.stores, self.samples, self.clip = dict(stores), samples, clip
        self.class_count, self.multi_label = class_count, multi_label
        self.flip, self.seed = flip, seed
        self.lengths = _stack_lengths(stores, clip)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Clip:
        """Return the clip of `key` = (epoch, index), its inputs uint8 (T, C, crop_px, crop_px)."""
        epoch, index = key
        sample = self.samples[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        entries = {name: store.videos[sample.video_id] for name, store in self.stores.items()}
        counts = {name: entry.count for name, entry in entries.items()}
        starts = draw_training_starts(counts, self.lengths, self.clip, rng)
        shared = next(iter(entries.values()))  # size and frame rate are those of all modalities
        box = self._draw_box(shared.height, shared.width, rng)
        labels = sample.labels
        if sample.segments:
            labels = labels_between(sample.segments, *clip_span(starts, self.lengths, counts, shared.frame_rate))
        mirrored = self.flip.draw(labels, rng)
        inputs = {}
        for name, store in self.stores.items():
            levels = store.read(sample.video_id, starts[name].tolist(), self.lengths[name])
            levels = resize(box.cut(levels), self.clip.crop_px)
            inputs[name] = levels if mirrored is None else mirror(levels, store.info.kind)
        labels = labels if mirrored is None else mirrored
        return Clip(inputs, make_target(labels, self.class_count, multi_label=self.multi_label), sample.video_id)

    def _draw_box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        match self.clip.crop_policy:
            case "multi_scale":
                return draw_crop(height, width, self.clip.crop_px, self.clip.crop_scales, rng)
            case "random":
                return draw_random_crop(height, width, self.clip.crop_scales, rng)


class EvaluationClips(Dataset[Clip]):
    """All views of each video under one protocol, the same every time.

    The V = (dense + uniform) * crops views of an item are ordered by clip (dense ones first), then by crop.
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
    ) -> None:
        _check_videos(stores, samples)
        _check_one_side(stores, samples, clip, protocol)
        self.stores, self.samples, self.clip, self.protocol = dict(stores), samples, clip, protocol
        self.class_count, self.multi_label = class_count, multi_label
        self.lengths = _stack_lengths(stores, clip)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Clip:
        """Return the views of sample `index`, uint8 (V, T, C, S, S); S is crop_px, or the shorter side."""
        sample = self.samples[index]
        inputs = {name: self._views(name, sample.video_id) for name in self.stores}
        target = make_target(sample.labels, self.class_count, multi_label=self.multi_label)
        return Clip(inputs, target, sample.video_id)

    def _views(self, name: str, video_id: str) -> Tensor:
        store, length = self.stores[name], self.lengths[name]
        entry = store.videos[video_id]
        crop = self.protocol.crop
        boxes = evaluation_crops(entry.height, entry.width, self.clip.crop_px, crop)
        side = evaluation_side(entry.height, entry.width, self.clip.crop_px, crop)
        views = []
        for starts in evaluation_starts(entry.count, length, self.clip, self.protocol).tolist():
            levels = store.read(video_id, starts, length)
            views.extend(resize(box.cut(levels), side) for box in boxes)
        return torch.stack(views)


def _stack_lengths(stores: Mapping[str, ModalityStore], clip: ClipConfig) -> dict[str, int]:
    return {name: stack_length(store.info.kind, clip.stack) for name, store in stores.items()}


def _check_videos(stores: Mapping[str, ModalityStore], samples: Sequence[Sample]) -> None:
    """Raise InputError where modalities of a video differ in size or were made from different numbers of frames."""
    problems = []
    for sample in samples:
        entries = {name: store.videos.get(sample.video_id) for name, store in stores.items()}
        if missing := [name for name, entry in entries.items() if entry is None]:
            problems.append(f"video {sample.video_id}: not in the shards of {', '.join(missing)}")
            continue
        shapes = {
            # n frames have n - 1 fields or differences
            name: (entry.height, entry.width, entry.count + kind_of(stores[name].info.kind).fewer)
            for name, entry in entries.items()
            if entry is not None
        }
        if len(set(shapes.values())) > 1:
            told = ", ".join(f"{name} {h} x {w} px from {n} frames" for name, (h, w, n) in shapes.items())
            problems.append(f"video {sample.video_id}: {told}")
    if problems:
        raise InputError(
            f"{len(problems)} video(s) whose modalities do not belong together:\n{summarise(problems)}",
            hint="make the shards of all modalities again from the same rgb shards",
        )


def _check_labels(samples: Sequence[Sample], class_count: int, *, multi_label: bool) -> None:
    problems = [
        f"video {sample.video_id}: labels {classes}"
        for sample in samples
        for classes in [(*sample.labels, *(segment.label for segment in sample.segments))]
        if not (multi_label or (len(sample.labels) == 1 and not sample.segments))
        or not all(0 <= c < class_count for c in classes)
    ]
    if problems:
        wanted = "class indices" if multi_label else "exactly one class index"
        raise InputError(
            f"{len(problems)} video(s) without {wanted} below {class_count}, which training needs:\n"
            + summarise(problems)
        )


def _check_frame_rates(stores: Mapping[str, ModalityStore], samples: Sequence[Sample]) -> None:
    """Raise InputError where labels hold for a time and a clip's time is not known."""
    videos = next(iter(stores.values())).videos
    problems = [
        f"video {sample.video_id}: {rate} frames a second"
        for sample in samples
        if sample.segments and not (rate := videos[sample.video_id].frame_rate) > 0  # NaN where it is not stated
    ]
    if problems:
        raise InputError(
            f"{len(problems)} video(s) whose labels hold for a time, but without a frame rate:\n{summarise(problems)}",
            hint="put these videos into containers that state it (ffmpeg -i OLD -c copy NEW.mp4), or leave them out",
        )


def _check_one_side(
    stores: Mapping[str, ModalityStore], samples: Sequence[Sample], clip: ClipConfig, protocol: ProtocolConfig
) -> None:
    """Raise InputError where crops would differ in size and could not share a batch."""
    videos = next(iter(stores.values())).videos
    entries = [videos[sample.video_id] for sample in samples]
    sides = {evaluation_side(entry.height, entry.width, clip.crop_px, protocol.crop) for entry in entries}
    if len(sides) > 1:
        raise InputError(
            f"crop: {protocol.crop} needs videos of one shorter side, got {sorted(sides)} px",
            hint="use crop: center, or decode all videos to the same short_side_px",
        )
