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
    """One item of a data set: uint8 inputs by modality, (T, C, S, S) or (V, T, C, S, S), and the target."""

    inputs: dict[str, Tensor]
    target: Tensor
    video_id: str


class Batch(NamedTuple):
    """Clips put together: inputs (B, ...) uint8 by modality; targets (B,) int64, or (B, N) float32 of 0 and 1."""

    inputs: dict[str, Tensor]
    targets: Tensor
    video_ids: list[str]


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
