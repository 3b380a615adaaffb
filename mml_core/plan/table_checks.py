"""Whether what a recipe makes of scores can be made: rows of one data set, splits with videos, protocols that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import split_reference
from mml_core.config.scored_figures import ScoredFigure
from mml_core.config.stage import StageConfig
from mml_core.config.subsets import SubsetsTable
from mml_core.config.tables import ClaimsConfig, PublishedConfig, SubmissionConfig, TableConfig, split_members
from mml_core.errors import InputError
from mml_core.kinds import kind_of
from mml_core.plan.stages import DataPlan, Stage, table_networks


def check_tables(
    all_data: Mapping[str, DataPlan], stages: Mapping[str, Stage], recipe: RecipeConfig, file: Path
) -> None:
    """Raise InputError for a table's row over several data sets, or whose split has no videos (with labels).

    A network is scored on the data set that its stage was trained on, one of `all_data` by name.
    """
    _check_disturbed(all_data, recipe, file)
    for where, block, name, with_labels, rows in _rows(recipe, stages):
        split, protocol = block.split, recipe.protocols[name]
        for members in rows:
            names = sorted({stages[split_reference(member)[0]].document.dataset for member in members})
            if len(names) > 1:
                raise InputError(
                    f"{where}: {' + '.join(members)} joins networks for {' and '.join(names)}",
                    file=file,
                    hint="a row is about the videos of one data set",
                )
            for dataset in names:
                _check_split(where, all_data[dataset], split, file, with_labels=with_labels)
            for member in members:
                _check_member(where, member, stages[split_reference(member)[0]].document.config, protocol, file)


_Scored = TableConfig | PublishedConfig | SubsetsTable | SubmissionConfig | ScoredFigure | ClaimsConfig


#: Key, block, name of the protocol, whether it needs labels, networks of each row.
_Scoring = tuple[str, _Scored, str, bool, list[list[str]]]


def _rows(recipe: RecipeConfig, stages: Mapping[str, Stage]) -> Iterator[_Scoring]:
    """Yield what is scored for all that is made of scores."""
    for name, table in recipe.tables.items():
        rows = [[reference] for reference in table_networks(table, stages)]
        rows += [list(row.members) for row in table.ensembles.values()]
        yield f"tables.{name}", table, table.protocol, True, rows
    for name, published in recipe.published.items():
        for protocol, rows in published.by_protocol().items():
            yield f"published.{name}", published, protocol, True, rows
    for name, table in recipe.subsets.items():
        yield f"subsets.{name}", table, table.protocol, True, [list(row.members) for row in table.rows.values()]
    for name, block in recipe.submissions.items():
        yield f"submissions.{name}", block, block.protocol, False, [split_members(block.members)]
    for name, figure in recipe.figures.items():
        if isinstance(figure, ScoredFigure):
            rows = [split_members(members) for members in figure.members()]
            yield f"figures.{name}", figure, figure.protocol, True, rows
    if recipe.claims:
        pairs = [pair for claim in recipe.claims.tested for pair in claim.comparisons]
        sides = [side for pair in pairs for side in (pair.better, pair.worse)]
        rows = [split_members(side) for side in sides if isinstance(side, str)]
        yield "claims", recipe.claims, recipe.claims.protocol, True, rows


def _check_disturbed(all_data: Mapping[str, DataPlan], recipe: RecipeConfig, file: Path) -> None:
    """Raise InputError for noise on, or the lack of, a modality that no data set has."""
    known = sorted({name for data in all_data.values() for name in data.config.modalities})
    for name, protocol in recipe.protocols.items():
        if unknown := sorted(protocol.disturbed - set(known)):
            raise InputError(
                f"protocols.{name}: no data set has a modality {unknown[0]!r}",
                file=file,
                hint=f"there are {', '.join(known)}",
            )
        modalities = [data.config.modalities.get(one) for data in all_data.values() for one in protocol.noise]
        if any(modality is not None and not kind_of(modality.kind).spatial for modality in modalities):
            raise InputError(
                f"protocols.{name}.noise: speckle noise is of pictures, and not of sound",
                file=file,
                hint="missing: [...] takes the sound away",
            )


def _check_member(where: str, member: str, stage: StageConfig, protocol: ProtocolConfig, file: Path) -> None:
    """Raise InputError where a network of `stage` cannot be scored by `protocol`."""
    if misfit := protocol.misfit(stage.clip):
        raise InputError(f"{where}.protocol: {member} cannot be scored like this: {misfit}", file=file)
    if len(stage.colour_maps(protocol.noisy_colours)) > 1:
        raise InputError(
            f"{where}.protocol: {member} cannot be scored like this: noise is on colours, and networks of its "
            "stage see by several colour maps",
            file=file,
            hint="use `of: maps`, or train them in stages of their own",
        )
    if split_reference(member)[1] not in stage.scored(protocol.missing):
        raise InputError(
            f"{where}.protocol: {member} cannot be scored like this: all that it reads is missing",
            file=file,
            hint="list the networks that read something else; a table of subsets leaves such members out by itself",
        )


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
