"""Whether what a recipe makes of scores can be made: rows of one data set, splits with videos, protocols that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import split_reference
from mml_core.config.scored_figures import ScoredFigure
from mml_core.config.tables import ClaimsConfig, PublishedConfig, SubmissionConfig, TableConfig, split_members
from mml_core.errors import InputError
from mml_core.plan.stages import DataPlan, Stage, table_networks


def check_tables(
    all_data: Mapping[str, DataPlan], stages: Mapping[str, Stage], recipe: RecipeConfig, file: Path
) -> None:
    """Raise InputError for a table's row over several data sets, or whose split has no videos (with labels).

    A network is scored on the data set that its stage was trained on, one of `all_data` by name.
    """
    for where, block, with_labels, rows in _rows(recipe, stages):
        split, protocol = block.split, recipe.protocols[block.protocol]
        for members in rows:
            names = sorted({stages[split_reference(member)[0]].document.dataset for member in members})
            if len(names) > 1:
                raise InputError(
                    f"{where}: {' + '.join(members)} joins networks for {' and '.join(names)}",
                    file=file,
                    hint="a row is about the videos of one data set",
                )
            for name in names:
                _check_split(where, all_data[name], split, file, with_labels=with_labels)
            for member in members:
                clip = stages[split_reference(member)[0]].document.config.clip
                if misfit := protocol.misfit(clip):
                    raise InputError(f"{where}.protocol: {member} cannot be scored like this: {misfit}", file=file)


_Scored = TableConfig | PublishedConfig | SubmissionConfig | ScoredFigure | ClaimsConfig


def _rows(recipe: RecipeConfig, stages: Mapping[str, Stage]) -> Iterator[tuple[str, _Scored, bool, list[list[str]]]]:
    """Yield (key, block, whether it needs labels, networks of each row) for all that is made of scores."""
    for name, table in recipe.tables.items():
        rows = [[reference] for reference in table_networks(table, stages)]
        yield f"tables.{name}", table, True, rows + [list(row.members) for row in table.ensembles.values()]
    for name, published in recipe.published.items():
        yield f"published.{name}", published, True, published.rows()
    for name, block in recipe.submissions.items():
        yield f"submissions.{name}", block, False, [split_members(block.members)]
    for name, figure in recipe.figures.items():
        if isinstance(figure, ScoredFigure):
            yield f"figures.{name}", figure, True, [split_members(members) for members in figure.members()]
    if recipe.claims:
        pairs = [pair for claim in recipe.claims.tested for pair in claim.comparisons]
        sides = [side for pair in pairs for side in (pair.better, pair.worse)]
        yield "claims", recipe.claims, True, [split_members(side) for side in sides if isinstance(side, str)]


def _check_split(where: str, data: DataPlan, split: str, file: Path, *, with_labels: bool) -> None:
    """Raise InputError where a data set has no videos of `split`, or none with labels."""
    videos = data.videos(split)
    labelled = data.config.multi_label or any(video.labels for video in videos)
    if not videos or (with_labels and not labelled):
        raise InputError(
            f"{where}.split: data set {data.config.name!r} has no {'labelled ' if videos else ''}"
            f"videos of split {split!r}",
            file=file,
            hint=f"its videos are of {', '.join(sorted({video.split for video in data.annotations.videos}))}",
        )
