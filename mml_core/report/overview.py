"""The page that people begin with: what to take, what it gets wrong, all rows, all trainings, and the ways to more."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mml_core.errors import InputError
from mml_core.evaluation.markdown import NOTES
from mml_core.evaluation.table import read_table
from mml_core.report.advice import RESULTS, Advice, advice_part
from mml_core.report.clips_index import read_index
from mml_core.report.content import read_history, table_grid
from mml_core.report.mistakes_part import Mistakes, mistakes_part
from mml_core.report.page import Grid
from mml_core.report.recommendation import read_recommendation
from mml_core.report.rows import shared_rows
from mml_core.report.trainings import TrainedStage, trainings_grid

TEMPLATE = "overview.html"


@dataclass(frozen=True)
class OverviewFiles:
    """The files that the page is made from, and where it will be: addresses are relative to it."""

    table: Path  # of all recipes
    recommendation: Path
    clips: Path  # folder
    clips_index: Path
    histories: Mapping[str, Path]  # by RECIPE:STAGE; stages that recipes share have one file
    pages: Sequence[Path]  # of the recipes, called after the folders that they are in
    few_classes: Sequence[str]  # data sets without a top-5
    output: Path
    results: str = RESULTS  # folder of the run's results, as commands name it


@dataclass(frozen=True)
class Overview:
    """Everything on the page. `facts` are (name, value), `links` (name, address)."""

    title: str
    facts: Sequence[tuple[str, str]]
    advice: Advice
    mistakes: Mistakes
    table: Grid
    notes: str
    trainings: Grid | None
    links: Sequence[tuple[str, str]]


def make_overview(files: OverviewFiles) -> Overview:
    """Return the content of the page; raises InputError naming the file that is at fault."""
    table = shared_rows(read_table(files.table))
    if table.empty:
        raise InputError("has no rows to show", file=files.table)
    recommendation = read_recommendation(files.recommendation)
    row = recommendation.row
    names = list(zip(table["name"], table["recipe"], strict=True))
    marked = names.index((row.name, ", ".join(row.recipes))) if row else None
    grid, facts = table_grid(table, marked, files.few_classes)
    links = [(page.parent.name, _address(page, files.output)) for page in files.pages]
    return Overview(
        title=recommendation.dataset,
        facts=[fact for fact in facts if fact[0] != "Data set"],
        advice=advice_part(recommendation, files.results),
        mistakes=mistakes_part(read_index(files.clips_index), files.clips, _address(files.clips, files.output)),
        table=grid,
        notes=NOTES,
        trainings=trainings_grid(_stages(files, dict(links))),
        links=links,
    )


def _address(path: Path, output: Path) -> str:
    return quote(Path(os.path.relpath(path, output.parent)).as_posix())


def _stages(files: OverviewFiles, links: Mapping[str, str]) -> list[TrainedStage]:
    """Return the stages, each once, with the recipes that have them."""
    recipes: dict[tuple[str, Path], list[str]] = {}
    for name, path in files.histories.items():
        recipe, _, stage = name.partition(":")
        recipes.setdefault((stage, path), []).append(recipe)
    return [
        TrainedStage(stage, own, read_history(path), f"{links[own[0]]}#stage-{stage}" if own[0] in links else None)
        for (stage, path), own in recipes.items()
    ]
