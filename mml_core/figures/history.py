"""How trainings went: columns of their histories over epochs (MARS, Fig. 4c)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mml_core.config.figures import HistoryFigure
from mml_core.config.references import split_reference
from mml_core.errors import InputError
from mml_core.figures.request import Request, table_of


class HistoryRequest(Request):
    """Which figure of histories to make."""

    figure: HistoryFigure


def build_history(request: HistoryRequest, files: Sequence[tuple[str, Path]]) -> pd.DataFrame:
    """Return a row for each network, run, column and epoch in which it was measured, in that order.

    Columns: recipe, dataset, row, network, run (counted from 1), epoch (counted from 1), column, value; values as they
    are in the histories. `files` are (STAGE or STAGE@RUN, history.csv), runs counted from 0 as in `load_runs`. Raises
    InputError for a file that is no history, or has no numbers in a column that is asked for.
    """
    histories = [(label.partition("@"), path, _read(path)) for label, path in files]
    rows = []
    for name, reference in request.figure.networks.items():
        stage, network, _ = split_reference(reference)
        for (own, _, run), path, history in histories:
            if own != stage:
                continue
            about = {**request.head, "row": name, "network": reference, "run": str(int(run or 0) + 1)}
            for column in request.figure.columns:
                measured = _measured(history[history["network"] == network], column, reference, path)
                rows += [{**about, "epoch": epoch, "column": column, "value": value} for epoch, value in measured]
    return table_of(rows)


def _read(path: Path) -> pd.DataFrame:
    """Return a history as text; raises InputError where the file is none."""
    try:
        history = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a history ({error})", file=path) from error
    if missing := [name for name in ("epoch", "network") if name not in history]:
        raise InputError(f"is no history of a training: it has no column {missing[0]!r}", file=path)
    return history


def _measured(rows: pd.DataFrame, column: str, reference: str, path: Path) -> list[tuple[str, str]]:
    """Return the epochs and values of a network's `rows` in which `column` is not empty."""
    measured = rows[rows[column] != ""] if column in rows else rows[:0]
    if measured.empty or not all(_are_numbers(measured[name]) for name in ("epoch", column)):
        raise InputError(
            f"has no numbers of {reference} in column {column!r}",
            file=path,
            hint=f"its columns are {', '.join(rows.columns)}",
        )
    return list(zip(measured["epoch"], measured[column], strict=True))


def _are_numbers(values: pd.Series) -> bool:
    try:
        pd.to_numeric(values)
    except ValueError:
        return False
    return True
