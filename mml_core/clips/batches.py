"""What travels from data sets to networks: samples, clips and batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import default_collate

if TYPE_CHECKING:
    from mml_core.annotations import Segment
    from mml_core.shards import ModalityStore

#: Target of a video without a label.
UNLABELLED = -1


@dataclass(frozen=True, slots=True)
class Sample:
    """A video and its classes (none for an unlabelled one), and when each holds, where that is known."""

    video_id: str
    labels: tuple[int, ...]
    segments: tuple[Segment, ...] = ()


class Clip(NamedTuple):
    """One item of a data set: uint8 inputs by modality, and the target.

    Inputs are (F, C, P, P) in training and (V, F, C, P, P) in evaluation: V views of F = segments * frames input frames
    of P x P pixels. Sound is int16, one window of W samples a segment: (S, 1, 1, W), or (V, S, 1, 1, W).
    """

    inputs: dict[str, Tensor]
    target: Tensor
    video_id: str


class Batch(NamedTuple):
    """Clips put together: targets are (B,) int64, or (B, N) float32 of 0 and 1.

    Inputs are uint8 by modality: (B, F, C, P, P) in training; in evaluation (R, F, C, P, P), all views of the first
    video, then those of the next, and `views` says how many each of the B videos has. Sound is int16, (B, S, 1, 1, W)
    or (R, S, 1, 1, W).
    """

    inputs: dict[str, Tensor]
    targets: Tensor
    video_ids: list[str]
    views: Sequence[int] = ()


def usable_videos(stores: Mapping[str, ModalityStore], samples: Sequence[Sample]) -> list[Sample]:
    """Return those samples, in their order, that every store has: the ones that no modality quarantined."""
    return [sample for sample in samples if all(sample.video_id in store.videos for store in stores.values())]


def make_target(labels: Sequence[int], class_count: int, *, multi_label: bool) -> Tensor:
    """Return what an objective compares logits with.

    Single-label: the class index, int64, shape (), -1 where there is no label. Multi-label: 1 at the labels and 0
    elsewhere, float32, shape (class_count,).
    """
    if not multi_label:
        return torch.tensor(labels[0] if labels else UNLABELLED, dtype=torch.int64)
    target = torch.zeros(class_count)
    target[list(labels)] = 1.0
    return target


def collate_clips(clips: Sequence[Clip]) -> Batch:
    """Put clips of equal shapes together. In a worker, the batch is assembled in shared memory, without a copy."""
    return Batch(
        default_collate([clip.inputs for clip in clips]),
        torch.stack([clip.target for clip in clips]),
        [clip.video_id for clip in clips],
    )


def collate_views(clips: Sequence[Clip]) -> Batch:
    """Put the views of several videos one after the other, however many each has."""
    first = clips[0].inputs
    alone = len(clips) == 1  # nothing to copy
    return Batch(
        first if alone else {name: torch.cat([clip.inputs[name] for clip in clips]) for name in first},
        torch.stack([clip.target for clip in clips]),
        [clip.video_id for clip in clips],
        [len(next(iter(clip.inputs.values()))) for clip in clips],
    )
