"""Data loaders whose batches depend neither on the number of workers nor on PyTorch's global random state."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

import torch
from torch.utils.data import DataLoader, Subset

from mml_core.clips.batches import Batch, Clip, collate_clips
from mml_core.clips.datasets import EvaluationClips, TrainingClips
from mml_core.clips.sampler import Key

#: A socket's name has at most 107 bytes; those of multiprocessing add some 35 to the folder's.
_MOST_FOLDER_BYTES = 70
_SHORT_FOLDER = "/tmp"  # noqa: S108 - multiprocessing makes a folder of its own in it


def training_loader(dataset: TrainingClips, batches: Sequence[list[Key]], workers: int) -> DataLoader[Batch]:
    """Return a loader of the `batches` (from `epoch_batches`, less those already done), in their order.

    Batches of several epochs may follow each other in one loader: a key carries its epoch.
    """
    return _loader(dataset, batches, workers)


def evaluation_loader(dataset: EvaluationClips | Subset[Clip], batch_size: int, workers: int) -> DataLoader[Batch]:
    """Return a loader of every video once, in order, `batch_size` videos (each with all its views) at a time."""
    indices = range(len(dataset))
    return _loader(dataset, [list(indices[first : first + batch_size]) for first in indices[::batch_size]], workers)


def _loader(
    dataset: TrainingClips | EvaluationClips | Subset[Clip],
    batches: Sequence[list[Key]] | Sequence[list[int]],
    workers: int,
) -> DataLoader[Batch]:
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate_clips,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_prepare_worker,
        # An iterator draws a seed for its workers, by default from the global generator, which dropout draws from too:
        # a run that is resumed in the middle of an epoch would then differ from one that is not.
        generator=torch.Generator().manual_seed(0),
    )


def _prepare_worker(worker: int) -> None:
    """Set up a loader process: one thread, since workers are parallel already, and room for its socket's name.

    Batches travel through a socket below the folder for temporary files. Where the name of that is too long, the worker
    would fail in a thread of its own, and the reader wait for ever.
    """
    torch.set_num_threads(1)
    if len(os.fsencode(tempfile.gettempdir())) > _MOST_FOLDER_BYTES:
        tempfile.tempdir = _SHORT_FOLDER
