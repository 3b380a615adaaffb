"""The classes that gain and lose most from one system to another (MARS, Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mml_core.errors import InputError
from mml_core.evaluation.members import Combined
from mml_core.evaluation.runs import Run, hits_of_runs
from mml_core.evaluation.table import percent
from mml_core.evaluation.uncertainty import paired_difference
from mml_core.figures.request import FigureRequest, combined_of, table_of

#: Classes with fewer videos, or groups of videos, have no interval: so few outcomes say little of what others would be.
FEWEST_VIDEOS = 10


def extreme_classes(differences: np.ndarray, most: int) -> tuple[list[int], list[int]]:
    """Return the `most` classes with the highest and those with the lowest of `differences` (N,), the extremes first.

    NaN stands for a class without videos, which is neither. Of equal classes the first comes first. No class is in both
    lists: where there are fewer than 2 `most`, the higher half gains.
    """
    order = [int(index) for index in np.argsort(-differences, kind="stable") if np.isfinite(differences[index])]
    gain = order[: min(most, (len(order) + 1) // 2)]
    return gain, order[len(gain) :][-most:][::-1]


def class_means(hits: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the accuracy of each class (N,), 0 … 1, the mean over runs and its videos; NaN where it has none.

    Args:
        hits: (S, V) bool, whether run s is right about video v.
        labels: (V,) class indices.
        classes: N.
    """
    counts = np.bincount(labels, minlength=classes)
    right = np.bincount(labels, weights=hits.mean(axis=0), minlength=classes)
    return np.divide(right, counts, out=np.full(classes, np.nan), where=counts > 0)


def build_classes(request: FigureRequest, runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each class that gains or loses most and each of the figure's rows, in that order.

    Columns: recipe, dataset, class, change (gain or loss), videos (of the class), row, members, top1, difference of row
    `after` from row `before` with low and high (95 %, paired by seed and video or group, within the class; empty
    below FEWEST_VIDEOS of these), seeds; percentages and percentage points. The classes were chosen by these very
    differences, so that the largest are larger than they would be on other videos. Raises InputError where scores do
    not fit together.
    """
    figure = request.figure
    combined = {name: combined_of(runs, members) for name, members in figure.rows.items()}
    labels, hits, groups = _shared_hits(combined)
    first = combined[figure.before][0]
    means = {name: class_means(one, labels, len(first.classes)) for name, one in hits.items()}
    gain, loss = extreme_classes(means[figure.after] - means[figure.before], figure.most)
    rows = []
    for index, change in [*((one, "gain") for one in gain), *((one, "loss") for one in loss[::-1])]:
        own = labels == index
        about = {"class": first.classes[index], "change": change, "videos": str(own.sum())}
        difference = _difference(hits[figure.after][:, own], hits[figure.before][:, own], groups[own])
        rows += [
            {
                **request.head,
                **about,
                "row": name,
                "members": members,
                "top1": percent(float(means[name][index])),
                **difference,
                "seeds": str(len(runs)),
            }
            for name, members in figure.rows.items()
        ]
    return table_of(rows)


def _shared_hits(
    combined: Mapping[str, Sequence[Combined]],
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Return the labels (V,) of the videos that all rows have, whether each row's runs are right about them (S, V), and
    the numbers of their groups (V,), one a video where they share nothing.

    Raises InputError where rows have none in common, or other classes or labels.
    """
    first = next(iter(combined.values()))[0]
    places = {name: {video: index for index, video in enumerate(one[0].video_ids)} for name, one in combined.items()}
    shared = [video for video in first.video_ids if all(video in known for known in places.values())]
    if not shared:
        raise InputError("the rows have no video in common", hint="see data_quality.csv")
    labels, hits = {}, {}
    for name, one in combined.items():
        chosen = [places[name][video] for video in shared]
        labels[name], hits[name] = one[0].labels[chosen], hits_of_runs(one, 1)[:, chosen]
        if one[0].classes != first.classes or not np.array_equal(labels[name], labels[next(iter(labels))]):
            raise InputError(f"row {name!r} was scored with other classes or labels", hint="score all rows again")
    chosen = places[next(iter(places))]
    groups = np.arange(len(shared)) if first.groups is None else first.groups[[chosen[video] for video in shared]]
    return next(iter(labels.values())), hits, groups


def _difference(after: np.ndarray, before: np.ndarray, groups: np.ndarray) -> dict[str, str]:
    """Return the difference in percentage points over a class's videos (S, V), with its interval where they suffice."""
    own = np.unique(groups, return_inverse=True)[1]
    result = paired_difference(after, before, own)
    enough = own.max() + 1 >= FEWEST_VIDEOS
    return {
        "difference": f"{100 * result.value:+.2f}",
        "low": f"{100 * result.low:+.2f}" if enough else "",
        "high": f"{100 * result.high:+.2f}" if enough else "",
    }
