"""The classes that gain and lose most from one system to another (MARS, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mml_core.evaluation.runs import Run
from mml_core.evaluation.table import percent
from mml_core.figures.paired import class_difference, shared_predictions
from mml_core.figures.request import FigureRequest, combined_of, table_of


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
    below `paired.FEWEST_VIDEOS` of these), seeds; percentages and percentage points. The classes were chosen by these
    very differences, so that the largest are larger than they would be on other videos. Raises InputError where scores
    do not fit together.
    """
    figure = request.figure
    shared = shared_predictions({name: combined_of(runs, members) for name, members in figure.rows.items()})
    labels = shared.labels
    hits = {name: one == labels for name, one in shared.predicted.items()}
    means = {name: class_means(one, labels, len(shared.classes)) for name, one in hits.items()}
    gain, loss = extreme_classes(means[figure.after] - means[figure.before], figure.most)
    rows = []
    for index, change in [*((one, "gain") for one in gain), *((one, "loss") for one in loss[::-1])]:
        own = labels == index
        about = {"class": shared.classes[index], "change": change, "videos": str(own.sum())}
        difference = class_difference(hits[figure.after][:, own], hits[figure.before][:, own], shared.groups[own])
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
