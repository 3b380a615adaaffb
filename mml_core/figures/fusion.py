"""Accuracy of two networks together over their weights (Chi et al. 2019, Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mml_core.evaluation.runs import Run, combine_runs
from mml_core.figures.request import FigureRequest, accuracy, table_of


def build_fusion(request: FigureRequest, runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each of the figure's pairs and each of its weights, in that order.

    Columns: recipe, dataset, row (the pair's name), first, second, weight_first, weight_second, the accuracy with
    deviation and interval, seeds, videos. Percentages have two decimals; intervals are those of `uncertainty.estimate`,
    each of its own row. Weights that are chosen by these values are chosen on these videos, and their accuracy is
    larger than it would be on others. Raises InputError where scores do not fit together.
    """
    figure = request.figure
    rows = []
    for name, pair in figure.pairs.items():
        about = {**request.head, "row": name, "first": pair.first, "second": pair.second}
        for weights in figure.weights:
            combined = combine_runs(runs, [pair.first, pair.second], weights, figure.fusion)
            told = dict(zip(("weight_first", "weight_second"), (f"{one:.12g}" for one in weights), strict=True))
            rows.append({**about, **told, **accuracy(combined)})
    return table_of(rows)
