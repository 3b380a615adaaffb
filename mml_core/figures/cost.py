"""Accuracy of networks over what they cost, choices included (AdaMML)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mml_core.config.tables import split_members
from mml_core.evaluation.members import cost_bearers, pick
from mml_core.evaluation.runs import Run
from mml_core.figures.request import FigureRequest, accuracy, combined_of, table_of


def build_cost(request: FigureRequest, runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each of the figure's rows.

    Columns: recipe, dataset, row, members, gflops_per_video with its deviation over the runs (10^9 multiply-adds of all
    views and members, without what computes flow from frames), the accuracy with deviation and interval, seeds, videos.
    Raises InputError where scores do not fit together.
    """
    return table_of(
        [
            {
                **request.head,
                "row": name,
                "members": members,
                **_gflops(runs, split_members(members)),
                **accuracy(combined_of(runs, members)),
            }
            for name, members in request.figure.rows.items()
        ]
    )


def _gflops(runs: Sequence[Run], references: Sequence[str]) -> dict[str, str]:
    """Return the mean over the runs, each a mean over the videos, and its deviation, empty for a single run."""
    each = [
        sum(one.gflops_per_video for one in cost_bearers([pick(run, name) for name in references], run)) for run in runs
    ]
    deviation = f"{np.std(each, ddof=1):.4g}" if len(each) > 1 else ""
    return {"gflops_per_video": f"{np.mean(each):.6g}", "gflops_per_video_std": deviation}
