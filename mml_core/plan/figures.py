"""What the figures of a recipe are made from: score files, or histories; for some weights and shards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mml_core.config.figures import AttentionFigure, HistoryFigure, MapsFigure
from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import split_reference
from mml_core.config.scored_figures import ClassesFigure, ConfusionsFigure, ScoredFigure
from mml_core.errors import InputError
from mml_core.kinds import kind_of
from mml_core.plan.products import Runs, Source, run_label, score_sources
from mml_core.plan.stages import DataPlan, Stage, stages_of
from mml_core.training.columns import columns_of

#: Columns of a history that say which row it is.
_WHERE = ("epoch", "step", "network")

#: Figures that are about the true class of a video.
_OfOneLabel = ClassesFigure | ConfusionsFigure | MapsFigure


def figure_script(recipe: RecipeConfig, name: str) -> str:
    """Return the name of the script that makes the figure `name`."""
    return f"{recipe.figures[name].kind}_figure"


def figure_sources(recipe: RecipeConfig, runs: Runs, name: str) -> list[Source]:
    """Return the score files of all `runs` that the figure `name` is made from."""
    figure = recipe.figures[name]
    return score_sources(recipe, runs, figure.references(), figure.split, figure.protocol)


def figure_histories(recipe: RecipeConfig, runs: Runs, name: str) -> dict[str, Stage]:
    """Return the stages of all `runs` whose histories the figure `name` draws, by what scripts call them."""
    references = recipe.figures[name].references()
    return {
        run_label(one, run): stages[one] for run, stages in enumerate(runs) for one in stages_of(references, stages)
    }


def history_columns(stage: Stage, data: DataPlan) -> list[str]:
    """Return the columns of numbers that the history of a stage has, which learns from `data`."""
    missing = set(_WHERE)
    if data.config.multi_label:
        missing |= {"train_top1", "validation_top1"}
    if not any(video.labels or data.config.multi_label for video in data.videos("validation")):
        missing |= {"validation_loss", "validation_top1"}
    return [name for name in columns_of(stage.document.config.objective.terms) if name not in missing]


def figure_stages(recipe: RecipeConfig, stages: Mapping[str, Stage], name: str) -> list[Stage]:
    """Return the stages of a run whose networks the figure `name` runs: none, where it is made from files alone."""
    figure = recipe.figures[name]
    return [stages[one] for one in stages_of(figure.references(), stages)] if figure.runs_networks else []


def figure_modalities(data: DataPlan, stages: list[Stage]) -> dict[str, str]:
    """Return the modalities that a figure that runs networks of `stages` reads, by name: their keys.

    Frames are always among them: pictures are drawn over them, and other modalities computed from them.
    """
    rgb = data.config.rgb_name
    read = {name: key for stage in stages for name, key in stage.document.scored_modalities().items()}
    return {rgb: data.config.modality_key(rgb), **dict(sorted(read.items()))}


def figure_request(dataset: str, recipe: RecipeConfig, name: str) -> dict[str, Any]:
    """Return what the script of the figure `name` is asked: the recipe's blocks with their defaults, as plain data."""
    content = recipe.model_dump(mode="json", include={"protocols", "figures"})
    asked = {"recipe": recipe.name, "dataset": dataset, "name": name, "figure": content["figures"][name]}
    figure = recipe.figures[name]
    return {**asked, "protocol": content["protocols"][figure.protocol]} if isinstance(figure, ScoredFigure) else asked


def check_figures(
    all_data: Mapping[str, DataPlan], stages: Mapping[str, Stage], recipe: RecipeConfig, file: Path
) -> None:
    """Raise InputError for a figure that cannot be drawn of its networks' data sets, `all_data` by name."""
    for name, figure in recipe.figures.items():
        datasets = {stages[one].document.dataset for one in stages_of(figure.references(), stages)}
        if figure.runs_networks and len(datasets) > 1:
            raise InputError(
                f"figures.{name}: its networks are of several data sets, {' and '.join(sorted(datasets))}",
                file=file,
                hint="networks that are run for a figure see the same videos",
            )
        if figure.runs_networks and recipe.protocols[figure.protocol].missing:
            raise InputError(
                f"figures.{name}: it runs networks on what protocol {figure.protocol!r} says is missing",
                file=file,
                hint="choose a protocol without missing modalities",
            )
        if isinstance(figure, MapsFigure | AttentionFigure):
            _check_pictures(name, figure, all_data, stages, file)
        if isinstance(figure, HistoryFigure):
            _check_columns(name, figure, all_data, stages, file)
        if isinstance(figure, ConfusionsFigure):
            _check_pairs(name, figure, [all_data[one] for one in datasets], file)
        if isinstance(figure, _OfOneLabel):
            _check_one_label(name, figure, [all_data[one] for one in datasets], file)


def check_same_kinds(recipes: Mapping[str, RecipeConfig]) -> None:
    """Raise InputError where two of a run's `recipes` have figures of one name and of different kinds."""
    kinds: dict[str, tuple[str, str]] = {}
    for recipe in recipes.values():
        for name, figure in recipe.figures.items():
            kind, other = kinds.setdefault(name, (figure.kind, recipe.name))
            if kind != figure.kind:
                raise InputError(
                    f"figures.{name} is of kind {figure.kind} in recipe {recipe.name!r} and {kind} in {other!r}",
                    hint="results/figures joins the figures of all chosen recipes by name: give one another name",
                )


def _check_columns(
    name: str, figure: HistoryFigure, all_data: Mapping[str, DataPlan], stages: Mapping[str, Stage], file: Path
) -> None:
    for reference in figure.references():
        stage = stages[split_reference(reference)[0]]
        known = history_columns(stage, all_data[stage.document.dataset])
        if missing := [column for column in figure.columns if column not in known]:
            raise InputError(
                f"figures.{name}.panels: the history of stage {stage.name} has no column {missing[0]!r}",
                file=file,
                hint=f"it has {', '.join(known)}",
            )


def _check_pairs(name: str, figure: ConfusionsFigure, data: list[DataPlan], file: Path) -> None:
    for one in data:
        known = one.annotations.classes
        unknown = [label for pair in figure.pairs for label in pair if label not in known]
        if 0 < len(unknown) < 2 * len(figure.pairs):  # those of another data set altogether are not shown
            raise InputError(
                f"figures.{name}.pairs: data set {one.config.name!r} has no class {unknown[0]!r}",
                file=file,
                hint=f"it has {', '.join(known[:8])}" + (", …" if len(known) > 8 else ""),
            )


def _check_pictures(
    name: str,
    figure: MapsFigure | AttentionFigure,
    all_data: Mapping[str, DataPlan],
    stages: Mapping[str, Stage],
    file: Path,
) -> None:
    for reference in figure.references():
        stage, network, _ = split_reference(reference)
        document = stages[stage].document
        modalities = all_data[document.dataset].config.modalities
        read = document.config.networks[network].tested_modalities
        if heard := [one for one in read if not kind_of(modalities[one].kind).spatial]:
            raise InputError(
                f"figures.{name}: {reference} reads {heard[0]!r}, which is sound and has no places",
                file=file,
                hint=f"a figure of kind {figure.kind} is about networks that read pictures alone",
            )


def _check_one_label(name: str, figure: _OfOneLabel, data: list[DataPlan], file: Path) -> None:
    if several := [one.config.name for one in data if one.config.multi_label]:
        raise InputError(
            f"figures.{name}: videos of data set {several[0]!r} have several labels, and a figure of kind "
            f"{figure.kind} is about the one true class",
            file=file,
            hint="kinds attention, curve, fusion and speed are about any data set",
        )
