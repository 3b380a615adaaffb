"""Data loaders whose batches depend neither on the number of workers nor on PyTorch's global random state."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mml_core.clips.batches import Batch, Clip, collate_clips, collate_views
from mml_core.clips.datasets import TrainingClips
from mml_core.clips.evaluation import EvaluationClips
from mml_core.clips.sampler import Key
from mml_core.pixels.ready import make_ready

#: A socket's name has at most 107 bytes; those of multiprocessing add some 35 to the folder's.
_MOST_FOLDER_BYTES = 70
_SHORT_FOLDER = "/tmp"  # noqa: S108 - multiprocessing makes a folder of its own in it

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the system keeps it, not a file of ours
#: Eight workers with three batches each of 64 clips of eight frames of 224 pixels hold 1.8 GB.
_ENOUGH_SHARED_MEMORY_BYTES = 2 << 30
#: So many pixels in a loop are worth the start of compiled code, which takes 0.6 s once: they take 0.1 s less with it.
_ENOUGH_PIXELS = 100_000_000


class _ArrayBatch(NamedTuple):
    """A `Batch` on its way through a pipe."""

    inputs: dict[str, np.ndarray]
    targets: np.ndarray
    video_ids: list[str]
    views: Sequence[int] = ()


def training_loader(dataset: TrainingClips, batches: Sequence[list[Key]], workers: int) -> Iterable[Batch]:
    """Return a loader of the `batches` (from `epoch_batches`, less those already done), in their order, for one loop.

    Batches of several epochs may follow each other in one loader: a key carries its epoch.
    """
    pixels = sum(map(len, batches)) * dataset.clip_pixels
    return _loader(dataset, batches, workers, collate_clips, _collate_arrays, pixels)


def evaluation_loader(dataset: EvaluationClips, views: int, workers: int) -> Iterable[Batch]:
    """Return a loader, for one loop, of every video once, in order, with all its views.

    A batch has at most `views` views, but for a video that has more by itself.
    """
    pixels = sum(dataset.view_counts) * dataset.view_pixels
    batches = batches_by_views(dataset.view_counts, views)
    return _loader(dataset, batches, workers, collate_views, _collate_view_arrays, pixels)


def batches_by_views(counts: Sequence[int], most: int) -> list[list[int]]:
    """Return the videos 0, 1, … in groups of neighbours with `most` views in all, or of one video that has more."""
    batches: list[list[int]] = []
    room = 0
    for video, count in enumerate(counts):
        if not batches or count > room:
            batches.append([])
            room = most
        batches[-1].append(video)
        room -= count
    return batches


def _loader(
    dataset: TrainingClips | EvaluationClips,
    batches: Sequence[list[Key]] | Sequence[list[int]],
    workers: int,
    collate: Callable[[Sequence[Clip]], Batch],
    collate_arrays: Callable[[Sequence[Clip]], _ArrayBatch],
    pixels: int,
) -> Iterable[Batch]:
    """Return a loader whose batches come from its workers through shared memory, or through pipes where that is small.

    Containers often have 64 MiB of it, and a worker that finds it full fails. `pixels` of the whole loop.
    """
    if pixels >= _ENOUGH_PIXELS:
        make_ready()  # before workers are forked, of which each would do it for itself, each epoch
    through_pipes = workers > 0 and not _has_shared_memory()
    pinned = torch.cuda.is_available()
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate_arrays if through_pipes else collate,
        pin_memory=pinned and not through_pipes,
        worker_init_fn=_prepare_worker,
        # An iterator draws a seed for its workers, by default from the global generator, which dropout draws from too:
        # a run that is resumed in the middle of an epoch would then differ from one that is not.
        generator=torch.Generator().manual_seed(0),
    )
    return (_to_tensors(arrays, pinned=pinned) for arrays in loader) if through_pipes else loader


def _has_shared_memory() -> bool:
    """Return whether there is room for batches in shared memory; systems that do not show it have some."""
    if not _SHARED_MEMORY.is_dir():
        return True
    room = os.statvfs(_SHARED_MEMORY)
    return room.f_bavail * room.f_frsize >= _ENOUGH_SHARED_MEMORY_BYTES


def _collate_arrays(clips: Sequence[Clip]) -> _ArrayBatch:
    """Put clips of equal shapes together as NumPy arrays, which travel through pipes; tensors do not."""
    inputs = {modality: np.stack([clip.inputs[modality].numpy() for clip in clips]) for modality in clips[0].inputs}
    targets = np.stack([clip.target.numpy() for clip in clips])
    return _ArrayBatch(inputs, targets, [clip.video_id for clip in clips])


def _collate_view_arrays(clips: Sequence[Clip]) -> _ArrayBatch:
    """Put views together as NumPy arrays."""
    batch = collate_views(clips)
    inputs = {modality: levels.numpy() for modality, levels in batch.inputs.items()}
    return _ArrayBatch(inputs, batch.targets.numpy(), batch.video_ids, batch.views)


def _to_tensors(batch: _ArrayBatch, *, pinned: bool) -> Batch:
    """Return a batch of arrays as one of tensors, which share the arrays' memory or are in pinned memory."""

    def tensor(array: np.ndarray) -> Tensor:
        shared = torch.from_numpy(array)
        return shared.pin_memory() if pinned else shared

    inputs = {modality: tensor(array) for modality, array in batch.inputs.items()}
    return Batch(inputs, tensor(batch.targets), batch.video_ids, batch.views)


def _prepare_worker(worker: int) -> None:
    """Set up a loader process: one thread, since workers are parallel already, and room for its socket's name.

    Batches travel through a socket below the folder for temporary files. Where the name of that is too long, the worker
    would fail in a thread of its own, and the reader wait for ever.
    """
    torch.set_num_threads(1)
    if len(os.fsencode(tempfile.gettempdir())) > _MOST_FOLDER_BYTES:
        tempfile.tempdir = _SHORT_FOLDER
