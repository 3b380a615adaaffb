"""Rows of a figure on the videos that all of them have, and their differences within a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mml_core.errors import InputError
from mml_core.evaluation.members import Combined
from mml_core.evaluation.metrics import predictions
from mml_core.evaluation.uncertainty import paired_difference

#: Classes with fewer videos, or groups of videos, have no interval: so few outcomes say little of what others would be.
FEWEST_VIDEOS = 10


class Shared(NamedTuple):
    """What rows say of the V videos that all of them have, in S runs."""

    classes: tuple[str, ...]
    labels: np.ndarray  # (V,) class indices
    groups: np.ndarray  # (V,) numbers of the videos' groups, one a video where they share nothing
    predicted: Mapping[str, np.ndarray]  # by row: (S, V), the best class of each video in each run


def shared_predictions(combined: Mapping[str, Sequence[Combined]]) -> Shared:
    """Return what the rows `combined`, each its runs, say of the videos that all of them have.

    Raises InputError where rows have none in common, or other classes or labels.
    """
    firsts = {name: runs[0] for name, runs in combined.items()}
    first = next(iter(firsts.values()))
    places = {name: {video: index for index, video in enumerate(one.video_ids)} for name, one in firsts.items()}
    shared = [video for video in first.video_ids if all(video in known for known in places.values())]
    if not shared:
        raise InputError("the rows have no video in common", hint="see data_quality.csv")
    chosen = {name: np.array([known[video] for video in shared]) for name, known in places.items()}
    own = next(iter(chosen.values()))
    labels = first.labels[own]
    for name, one in firsts.items():
        if one.classes != first.classes or not np.array_equal(one.labels[chosen[name]], labels):
            raise InputError(f"row {name!r} was scored with other classes or labels", hint="score all rows again")
    predicted = {
        name: np.stack([predictions(run.scores)[chosen[name]] for run in runs]) for name, runs in combined.items()
    }
    groups = np.arange(len(shared)) if first.groups is None else first.groups[own]
    return Shared(first.classes, labels, groups, predicted)


def class_difference(after: np.ndarray, before: np.ndarray, groups: np.ndarray) -> dict[str, str]:
    """Return the difference in percentage points over a class's videos, with its interval where they suffice.

    Args:
        after, before: (S, V) bool, of the same runs and videos.
        groups: (V,) numbers of the videos' groups.
    """
    own = np.unique(groups, return_inverse=True)[1]
    result = paired_difference(after, before, own)
    enough = own.max() + 1 >= FEWEST_VIDEOS
    return {
        "difference": f"{100 * result.value:+.2f}",
        "low": f"{100 * result.low:+.2f}" if enough else "",
        "high": f"{100 * result.high:+.2f}" if enough else "",
    }
