"""The pairs of classes that one system confuses less, and more, than another (Chi et al. 2019, Table 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mml_core.errors import InputError
from mml_core.evaluation.runs import Run
from mml_core.evaluation.table import percent
from mml_core.figures.paired import class_difference, shared_predictions
from mml_core.figures.request import FIRST_COLUMNS, FigureRequest, combined_of, table_of

_NUMBERS = ("before", "after", "difference", "low", "high", "seeds")
#: There also where no pair changes, and the table has no rows.
COLUMNS = (*FIRST_COLUMNS, "class", "taken_for", "change", "videos", *_NUMBERS)

#: A true class, and the class that its videos are taken for.
ClassPair = tuple[int, int]


def confusion_counts(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return how often a video of each class (rows) is taken for each class (columns), summed over runs, (N, N) int64.

    Args:
        predicted: (S, V) class indices, what run s takes video v for.
        labels: (V,) class indices.
        classes: N.
    """
    return np.bincount((labels * classes + predicted).ravel(), minlength=classes**2).reshape(classes, classes)


def changed_pairs(differences: np.ndarray, most: int) -> tuple[list[ClassPair], list[ClassPair]]:
    """Return the `most` pairs of two classes with the lowest `differences` (N, N) below 0, and with the highest above.

    The extremes come first; of equal pairs that with the smaller true class, then the smaller other one.
    """
    values = np.where(np.eye(len(differences), dtype=bool), 0, differences).ravel()
    falling, rising = (np.argsort(sign * values, kind="stable")[:most] for sign in (1, -1))
    fewer, more = falling[values[falling] < 0], rising[values[rising] > 0]
    return [divmod(int(one), len(differences)) for one in fewer], [divmod(int(one), len(differences)) for one in more]


def build_confusions(request: FigureRequest, runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each of the figure's own pairs, then for those that fall most and rise most.

    Falling pairs are those that row `after` confuses less than row `before`. Columns: recipe, dataset, class (the true
    one), taken_for, change (named, fewer or more), videos (of the class), before and after (the share of these that is
    taken for the other class, in percent, the mean over the runs), difference with low and high (percentage points,
    95 %, paired by seed and video or group, within the class; empty below `paired.FEWEST_VIDEOS` of these), seeds.
    Pairs that do not change are there only where they are the figure's own. The others were chosen by these very
    differences, so that the largest are larger than they would be on other videos. Raises InputError where scores do
    not fit together, or there is no video of a class of the figure's own pairs.
    """
    figure = request.figure
    sides = {"before": figure.before, "after": figure.after}
    shared = shared_predictions({side: combined_of(runs, members) for side, members in sides.items()})
    labels, names = shared.labels, shared.classes
    counts = {side: confusion_counts(one, labels, len(names)) for side, one in shared.predicted.items()}
    cases = len(runs) * np.bincount(labels, minlength=len(names))
    # differences of counts, not of shares: equal ones are equal to the last bit
    differences = (counts["after"] - counts["before"]) / np.maximum(cases, 1)[:, None]
    named = [_numbers(names, pair, cases) for pair in figure.pairs if {*pair} <= {*names}]
    chosen = [[one for one in pairs if one not in named] for pairs in changed_pairs(differences, figure.most)]
    rows = []
    for change, pairs in zip(("named", "fewer", "more"), (named, *chosen), strict=True):
        for true, other in pairs:
            own = labels == true
            taken = {side: one[:, own] == other for side, one in shared.predicted.items()}
            rows.append(
                {
                    **request.head,
                    **{"class": names[true], "taken_for": names[other], "change": change, "videos": str(own.sum())},
                    **{side: percent(counts[side][true, other] / cases[true]) for side in sides},
                    **class_difference(taken["after"], taken["before"], shared.groups[own]),
                    "seeds": str(len(runs)),
                }
            )
    return table_of(rows).reindex(columns=list(COLUMNS))


def _numbers(names: Sequence[str], pair: tuple[str, str], cases: np.ndarray) -> ClassPair:
    """Return the classes of `pair`; raises InputError where the first has none, by the counts `cases` (N,)."""
    true, other = (names.index(one) for one in pair)
    if not cases[true]:
        raise InputError(f"pairs: no video of the split is of class {pair[0]!r}", hint="leave this pair out")
    return true, other
