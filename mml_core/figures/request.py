"""Which figure to make, and the accuracies that most figures are about."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mml_core.config.base import Strict
from mml_core.config.dataset import Name
from mml_core.config.figures import ScoredFigureConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import TableName, split_members
from mml_core.errors import InputError
from mml_core.evaluation.groups import GroupsByStage
from mml_core.evaluation.members import Combined, pick
from mml_core.evaluation.runs import Run, combine_runs, load_runs
from mml_core.evaluation.table import metric_values

#: Columns that all figures begin with.
FIRST_COLUMNS = ("recipe", "dataset")


class Request(Strict):
    """What all figures are asked."""

    recipe: Name
    dataset: Name
    name: TableName

    @property
    def head(self) -> dict[str, str]:
        """The first columns of each row."""
        return dict(zip(FIRST_COLUMNS, (self.recipe, self.dataset), strict=True))


class FigureRequest(Request):
    """Which figure to make: the recipe's block and its test protocol, with the defaults filled in."""

    figure: ScoredFigureConfig
    protocol: ProtocolConfig


def runs_of(
    request: FigureRequest, files: Sequence[tuple[str, object]], groups: GroupsByStage | None = None
) -> list[Run]:
    """Return the figure's networks in each run; `files` are (STAGE or STAGE@RUN, score file), `groups` those of videos.

    Raises InputError where scores are missing, of another split, or lack views of the figure's protocol.
    """
    references = request.figure.references()
    runs = load_runs(dict(files), groups, references=references, protocol=request.protocol)
    for run in runs:
        for reference in references:
            member = pick(run, reference)
            if member.split != request.figure.split:
                raise InputError(
                    f"the scores of {reference} are of split {member.split!r}, which figure {request.name!r} is not",
                    hint="pass score files of the figure's split",
                )
    return runs


def combined_of(runs: Sequence[Run], members: str) -> list[Combined]:
    """Return what the networks `members` (`a.b + c.d`) say together in each run."""
    return combine_runs(runs, split_members(members))


def accuracy(combined: Sequence[Combined]) -> dict[str, str]:
    """Return top-1 in percent with deviation and interval (mAP and deviation, for several labels), seeds and videos."""
    metric = "map" if combined[0].labels.ndim == 2 else "top1"
    counts = {"seeds": str(len(combined)), "videos": str(len(combined[0].video_ids))}
    return {**metric_values(metric, combined), **counts}


def table_of(rows: Sequence[dict[str, str]]) -> pd.DataFrame:
    """Return `rows` as a table of text."""
    return pd.DataFrame(rows, dtype=str).fillna("")
