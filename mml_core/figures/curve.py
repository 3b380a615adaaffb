"""Accuracy of networks over a number that they differ by, as the weight of a loss (MARS, Fig. 4b)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mml_core.evaluation.runs import Run
from mml_core.figures.request import FigureRequest, accuracy, combined_of, table_of


def build_curve(request: FigureRequest, runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row a point: recipe, dataset, x, members, the accuracy with deviation and interval, seeds, videos.

    Percentages have two decimals; intervals are those of `uncertainty.estimate`. Raises InputError where scores do not
    fit together.
    """
    return table_of(
        [
            {**request.head, "x": point.label, "members": point.members, **accuracy(combined_of(runs, point.members))}
            for point in request.figure.points
        ]
    )
