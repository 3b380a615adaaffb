"""The command `mml cost`: how many stages each table needs and what it costs, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mml_core.config.dataset import load_dataset
from mml_core.config.recipe import RecipeConfig, load_recipe
from mml_core.cost.counts import Counted, Given, count_videos
from mml_core.cost.hours import Jobs, Prices, price_jobs, stage_rows, table_row
from mml_core.cost.memory import device_gb
from mml_core.cost.needs import Table, joined, needed_tables
from mml_core.cost.options import CostOptions
from mml_core.cost.rates import choose_device, read_rates
from mml_core.cost.sketch import forward_gflops
from mml_core.cost.text import as_csv, memory_text, rates_text, stages_text, tables_text
from mml_core.errors import InputError
from mml_core.io.files import write_text
from mml_core.plan.stages import STAGE_SPLITS, plan_runs
from mml_core.plan.table_checks import check_tables

_NOTES = """\
Hours are those of one device. A table counts with all stages behind it; stages that tables share are in each of their
rows, and once in the last. A job takes one device and the jobs of a chain wait for each other, so {gpus} device(s) take
at least the larger of "All / {gpus}" and "Longest chain". Making frames, flow and differences is not part of it;
loading clips is where the source of a rate says so. "Estimated" is the share of hours at rates that were measured for
another network, pass or precision. A training step counts as three forward passes; layers that are frozen count as two,
or as one where nothing in front of them learns. The rates:"""


def print_cost(options: CostOptions) -> None:
    """Print what tables, stages and their memory cost.

    Raises InputError for recipes, data sets and rates that cannot be read or do not fit each other.
    """
    rates = read_rates(options.rates)
    device = choose_device(rates, options.device, options.rates)
    recipes = {name: load_recipe(_recipe_file(name)) for name in dict.fromkeys(options.recipes)}
    all_data = _count(options, recipes)
    tables, names = _plan(all_data, options.dataset, recipes)
    everything = joined(tables)
    prices = Prices([rate for rate in rates if rate.device == device])
    jobs = price_jobs(everything, all_data, prices, forward_gflops)
    rows = [table_row("table", table, jobs, options.gpus) for table in tables]
    rows.append(table_row("total", everything, jobs, options.gpus))
    stages = stage_rows(everything, names, jobs)
    print(f"{_heading(all_data, everything)} Device: {device}", end="\n\n")
    print(tables_text(rows, options.gpus), end="\n\n")
    if options.stages:
        print(stages_text(stages), end="\n\n")
    limit_gb = device_gb(device) if options.memory_gb is None else options.memory_gb
    print(memory_text(stages, _largest(jobs), limit_gb), end="\n\n")
    print(_NOTES.format(gpus=options.gpus), end="\n\n")
    print(rates_text(prices.used), flush=True)
    if options.csv:
        write_text(options.csv, as_csv([*rows, *(stages if options.stages else [])], device, options.gpus))


def _recipe_file(name: str) -> Path:
    return Path(f"config/recipes/{name}.yaml")


def _count(options: CostOptions, recipes: Mapping[str, RecipeConfig]) -> dict[str, Counted]:
    """Return the data sets that stages are trained on by name, the run's first."""
    given = {options.dataset: options.given, **options.counts}
    hints = {options.dataset: "--clips N --videos N --classes N"}
    named = {stage.dataset for recipe in recipes.values() for stage in recipe.stages.values() if stage.dataset}
    names = [options.dataset, *sorted(named - {options.dataset})]
    if unknown := sorted(given.keys() - names):
        raise InputError(f"--count {unknown[0]}: no stage is trained on it", hint=f"there are {', '.join(names)}")
    return {
        name: count_videos(
            load_dataset(Path(f"config/datasets/{name}.yaml")),
            given.get(name, Given()),
            hints.get(name, f"--count {name}=CLIPS,VIDEOS,CLASSES"),
        )
        for name in names
    }


def _plan(
    all_data: Mapping[str, Counted], dataset: str, recipes: Mapping[str, RecipeConfig]
) -> tuple[list[Table], dict[str, tuple[str, str]]]:
    """Return the tables of `recipes`, and the recipe and name of each stage by key (NAME@RUN but for the first run)."""
    plans = {name: data.plan for name, data in all_data.items()}
    tables: list[Table] = []
    names: dict[str, tuple[str, str]] = {}
    for name, recipe in recipes.items():
        file = _recipe_file(name)
        runs = plan_runs(plans[dataset], recipe, file, plans)
        check_tables(plans, runs[0], recipe, file)
        tables += needed_tables(recipe, runs, file=file, root=Path())
        for run, stages in enumerate(runs):
            for stage in stages.values():
                names.setdefault(stage.key, (name, f"{stage.name}@{run}" if run else stage.name))
    return tables, names


def _heading(all_data: Mapping[str, Counted], everything: Table) -> str:
    told = []
    for name, data in all_data.items():
        read = {*STAGE_SPLITS, *(file.split for file in everything.scores if file.dataset == name)}
        videos = ", ".join(f"{count:,} {split}" for split, count in data.counts.videos.items() if split in read)
        told.append(f"Data set {name}: videos {videos}; {data.counts.classes} classes.")
    return " ".join(told)


def _largest(jobs: Jobs) -> dict[str, float]:
    """Return what the stage that takes the most memory takes, by what it is for, in GB."""
    largest = max(jobs.memory.values(), key=sum, default=None)
    return {name: size / 1e9 for name, size in largest._asdict().items()} if largest else {}
