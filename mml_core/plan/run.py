"""Everything that a run of the workflow is about, read and checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml_core.annotations import load_annotations
from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.config.project import ProjectConfig, project_config
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.plan.claims import Pair, check_claims, resolve_claims
from mml_core.plan.data_file import data_plan_file, read_data_plan
from mml_core.plan.figures import check_figures, check_same_kinds
from mml_core.plan.outputs import check_outputs
from mml_core.plan.published import PublishedRow, published_rows
from mml_core.plan.published_rates import check_published_rates
from mml_core.plan.shipped import config_file
from mml_core.plan.stages import DataPlan, Stage, plan_runs
from mml_core.plan.table_checks import check_tables


@dataclass(frozen=True)
class RunPlan:
    """The project's settings, the chosen data set, and by name what its chosen recipes make of it."""

    project: ProjectConfig
    data: DataPlan  # the run's own data set
    all_data: Mapping[str, DataPlan]  # by name: the run's own, and those that stages are trained on besides
    recipes: Mapping[str, RecipeConfig]
    runs: Mapping[str, list[dict[str, Stage]]]  # recipe -> run -> stages by name
    published: Mapping[str, Mapping[str, list[PublishedRow]]]  # recipe -> table -> rows
    claims: Mapping[str, Mapping[str, list[Pair]]]  # recipe with claims -> claim -> comparisons


def plan_run(
    config: Mapping[str, Any],
    root: Path,
    *,
    check_files: bool,
    shipped: Path | None = None,
    planned: Path | None = None,
) -> RunPlan:
    """Read and check everything that the user wrote: project, data set, annotations, recipes.

    Args:
        config: the workflow's configuration, merged from files and the command line.
        root: the folder whose `config` has the files of data sets, recipes and published tables. Relative paths in
            them count from the current folder.
        check_files: whether the videos must be there, unless all of them are missing (`missing_videos`).
        shipped: the checkout, whose `config` has those that `root` has not; default: the same.
        planned: the folder of results, of which plans of data sets are taken instead of their annotations, where they
            are there and of the same settings (`mml_core.plan.data_file`).

    Raises InputError, naming file, key and a hint, for whatever is wrong.
    """
    project = project_config(config)
    shipped = shipped or root
    files = {name: config_file(root, shipped, "recipes", f"{name}.yaml") for name in project.recipe}
    recipes = {name: load_recipe(file, shipped / "config" / "recipes") for name, file in files.items()}
    named = {stage.dataset for recipe in recipes.values() for stage in recipe.stages.values() if stage.dataset}
    all_data = {
        name: plan_data(
            config_file(root, shipped, "datasets", f"{name}.yaml"), check_files=check_files, planned=planned
        )
        for name in (project.dataset, *sorted(named - {project.dataset}))
    }
    check_same_kinds(recipes)
    check_outputs(recipes, all_data)
    data = all_data[project.dataset]
    runs, published, claims = {}, {}, {}
    for name, recipe in recipes.items():
        file = files[name]
        runs[name] = plan_runs(data, recipe, file, all_data)
        check_tables(all_data, runs[name][0], recipe, file)
        check_figures(all_data, runs[name][0], recipe, file)
        check_published_rates(recipe, file=file, root=root, shipped=shipped)
        published[name] = published_rows(recipe.published, recipe.protocols, file=file, root=root, shipped=shipped)
        if recipe.claims:
            claims[name] = resolve_claims(recipe.claims, recipe.protocols, published[name], file=file)
            check_claims(claims[name], runs[name][0], file)
    return RunPlan(project, data, all_data, recipes, runs, published, claims)


def plan_data(file: Path, *, check_files: bool, planned: Path | None = None) -> DataPlan:
    """Return the data set described by `file` with its annotations; other arguments and errors as in `plan_run`."""
    dataset = load_dataset(file)
    if planned is not None and (made := data_plan_file(planned, dataset.name)).exists():
        plan = read_data_plan(made)
        if plan.config == dataset:
            return plan
    return DataPlan(dataset, load_annotations(dataset, check_files=check_files and missing_videos(dataset) is None))


def missing_videos(dataset: DatasetConfig) -> Path | None:
    """Return the folder of a data set's videos where it is not there: enough to plan, not to run."""
    folder = dataset.annotations.videos
    made_here = dataset.annotations.format == "embedded"
    return None if made_here or folder.exists() else folder
