"""Rows of the tables of several recipes: those that stages have in common are one row."""

from __future__ import annotations

import pandas as pd


def shared_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with rows that are equal in all but the recipe as one, whose recipe is `a, b`; in its order."""
    others = [column for column in table.columns if column != "recipe"]
    joined = table.groupby(others, sort=False, dropna=False)["recipe"].agg(lambda own: ", ".join(dict.fromkeys(own)))
    return joined.reset_index()[list(table.columns)]
