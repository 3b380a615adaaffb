"""All pairs of a table of ensembles as a matrix, as MML prints Tables XI and XII."""

from __future__ import annotations

import pandas as pd

from mml_core.config.tables import PublishedPairs
from mml_core.errors import InputError


def pair_matrix(table: PublishedPairs, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return our top-1 in percent, as the paper prints it: columns are the models of its first column, rows the others.

    `pairs` is the table with a row a pair (`paper_table.build_paper_table`). Raises InputError where it lacks one.
    """
    across, down = [column for column in pairs.columns if column in table.models]
    values = pairs.assign(top1=pd.to_numeric(pairs["top1"])).pivot(index=down, columns=across, values="top1")
    rows, columns = (
        [label for label in dict.fromkeys(pairs[axis]) if label in table.models[axis]] for axis in (down, across)
    )
    matrix = values.reindex(index=pd.Index(rows, name=down), columns=pd.Index(columns, name=across))
    if matrix.isna().to_numpy().any():
        raise InputError(
            f"the published table {table.published!r} does not have every pair of the recipe's models",
            hint="map models to the labels of its columns, or leave them out",
        )
    return matrix


def baseline_value(table: PublishedPairs, matrix: pd.DataFrame) -> float:
    """Return the top-1 in percent that the others are compared with, from what `pair_matrix` returned."""
    return float(matrix.loc[table.baseline[str(matrix.index.name)], table.baseline[str(matrix.columns.name)]])
