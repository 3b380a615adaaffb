"""The columns of a stage's history: what every training has, and a column for each term of its objective."""

from __future__ import annotations

from collections.abc import Iterable

#: Before and behind the terms of the objective.
FIRST_COLUMNS = ("epoch", "step", "network", "learning_rate", "loss")
LAST_COLUMNS = ("train_top1", "validation_loss", "validation_top1", "seconds")


def terms_of(names: Iterable[str]) -> list[str]:
    """Return which of `names`, in their order and each once, are terms of an objective."""
    return [name for name in dict.fromkeys(names) if name not in {*FIRST_COLUMNS, *LAST_COLUMNS}]


def columns_of(names: Iterable[str]) -> list[str]:
    """Return the columns of a history whose rows have the quantities `names`."""
    return [*FIRST_COLUMNS, *terms_of(names), *LAST_COLUMNS]
