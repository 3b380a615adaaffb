"""Rates that papers print: which of them stand beside the rows of a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mml_core.config.rate_figure import RateFigure
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.plan.published import published_file, read_published

#: Columns of printed values: videos a second, and how many times those of the row that the paper compares with.
RATES = ("videos_per_s", "speedup")


def published_rates(figure: RateFigure, root: Path, shipped: Path | None = None) -> dict[str, Mapping[str, str]]:
    """Return the published values of a figure's rows as they are printed, by row and by column of RATES.

    `root` and `shipped` are those of `plan_run`. Raises InputError where the file is none of rates, and ValueError for
    a label that no published row has.
    """
    if figure.published is None:
        return {}
    path = published_file(root, figure.published, shipped)
    rows = read_published(path)
    if missing := [name for name in RATES if name not in rows[0]]:
        raise InputError(f"has no rates: it lacks the column {missing[0]!r}", file=path)
    known = {
        " / ".join(text for name, text in row.items() if name not in RATES): {name: row[name] for name in RATES}
        for row in rows
    }
    if unknown := [label for label in figure.labels.values() if label not in known]:
        raise ValueError(f"labels: no published row is {unknown[0]!r}; there are {', '.join(map(repr, known))}")
    return {name: known[label] for name, label in figure.labels.items()}


def check_published_rates(recipe: RecipeConfig, *, file: Path, root: Path, shipped: Path | None = None) -> None:
    """Raise InputError, naming the recipe's `file`, for a figure that does not fit the published rates it names."""
    for name, figure in recipe.figures.items():
        if isinstance(figure, RateFigure):
            try:
                published_rates(figure, root, shipped)
            except ValueError as error:
                hint = f"compare with config/published/{figure.published}.csv"
                raise InputError(f"figures.{name}.{error}", file=file, hint=hint) from error
