"""How much there is to train on and to score: from annotations or, before they are there, from numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mml_core.annotations import Annotations, Video, load_annotations
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.plan.stages import DataPlan

_SCORED_SPLITS = ("validation", "test")
_SPLITS = ("train", *_SCORED_SPLITS)


@dataclass(frozen=True)
class Counts:
    """What of a data set makes work."""

    videos: Mapping[str, int]  # by split; of the split train, the clips of an epoch
    classes: int


@dataclass(frozen=True)
class Given:
    """Numbers of the command line; None: as the annotations have it."""

    clips: int | None = None  # training clips of an epoch
    videos: int | None = None  # of each of the splits validation and test
    classes: int | None = None

    @property
    def complete(self) -> bool:
        """Whether annotations need not be read."""
        return None not in (self.clips, self.videos, self.classes)


@dataclass(frozen=True)
class Counted:
    """A data set, what stages are planned with, and how much there is of it."""

    plan: DataPlan
    counts: Counts

    @property
    def config(self) -> DatasetConfig:
        """The data set."""
        return self.plan.config


def count_videos(dataset: DatasetConfig, given: Given, option: str) -> Counted:
    """Return how much there is of `dataset`; numbers that are `given` count first.

    Where all are given, annotations are not read and those of the plan stand in for them: its keys are not those of a
    run. Raises InputError where they are read and cannot be; `option` is what to write then.
    """
    plan = DataPlan(dataset, _stand_in(given.classes) if given.complete else _read(dataset, option))
    videos = {split: len(plan.videos(split)) for split in _SPLITS}
    if given.videos is not None:
        videos |= {split: given.videos for split in _SCORED_SPLITS if videos[split]}
    if given.clips is not None:
        videos["train"] = given.clips
    classes = len(plan.annotations.classes) if given.classes is None else given.classes
    return Counted(plan, Counts(videos, classes))


def _read(dataset: DatasetConfig, option: str) -> Annotations:
    try:
        return load_annotations(dataset, check_files=False)
    except InputError as error:
        hint = f"without annotations of {dataset.name}, give {option}"
        raise InputError(
            error.message, file=error.file, hint=f"{error.hint}; {hint}" if error.hint else hint
        ) from error


def _stand_in(classes: int) -> Annotations:
    """Return annotations with one labelled video a split, which is all that planning looks at."""
    videos = tuple(Video(split, split, split, (0,)) for split in sorted(_SPLITS))
    return Annotations(tuple(f"class {number}" for number in range(classes)), Path(), videos)
