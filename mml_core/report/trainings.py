"""All trainings of a run in one table, those that recipes share once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from mml_core.report.page import Cell, Grid, text_grid

HEADINGS = ("Stage", "Recipes", "Networks", "Epochs", "Minutes", "Validation top-1, last epoch")


class TrainedStage(NamedTuple):
    """A stage with its history, the recipes that have it, and where its curves are."""

    name: str
    recipes: Sequence[str]
    history: pd.DataFrame
    address: str | None


def trainings_grid(stages: Sequence[TrainedStage]) -> Grid | None:
    """Return a row a stage; None where there is none."""
    if not stages:
        return None
    plain = text_grid(HEADINGS, [_row(stage) for stage in stages])
    linked = [
        [Cell(cells[0].text, href=stage.address), *cells[1:]] for stage, cells in zip(stages, plain.rows, strict=True)
    ]
    return Grid(plain.headings, plain.numeric, linked)


def _row(stage: TrainedStage) -> tuple[str, ...]:
    history = stage.history
    minutes = history.groupby("epoch")["seconds"].max().sum() / 60
    measured = history.dropna(subset=["validation_top1"]).groupby("network", sort=False)["validation_top1"].last()
    networks = dict.fromkeys(history["network"])
    return (
        stage.name,
        ", ".join(stage.recipes),
        ", ".join(networks) if len(networks) else "diverged in its first epoch",
        str(history["epoch"].nunique()),
        f"{minutes:.1f}",
        ", ".join(f"{network}: {value:.2f}" for network, value in measured.items()),
    )
