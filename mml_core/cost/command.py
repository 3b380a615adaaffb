"""The command mml-cost: how many stages each table needs and what it costs, before anything is trained."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from mml_core.config.dataset import DatasetConfig, load_dataset
from mml_core.config.recipe import load_recipe
from mml_core.cost.counts import Counts, Given, count_videos
from mml_core.cost.gflops import setting_gflops
from mml_core.cost.hours import Prices, price_jobs, stage_rows, table_row
from mml_core.cost.needs import Table, joined, needed_tables
from mml_core.cost.rates import choose_device, read_rates
from mml_core.cost.text import as_csv, rates_text, stages_text, tables_text
from mml_core.io.files import write_text
from mml_core.plan.stages import STAGE_SPLITS, DataPlan, check_tables, plan_runs
from mml_core.runtime import cli

#: Relative to the project's root, which is the working directory, as for all configuration.
RATES = Path("benchmarks/results/training_rates.csv")

_DESCRIPTION = """\
How many stages each table of a recipe needs, and what it costs at measured rates. Nothing is trained or decoded.
Run it in the project's root.

  mml-cost --dataset ssv2 --recipe paper_mml --gpus 8
  mml-cost --dataset ssv2 --recipe paper_mml --clips 168913 --videos 24777 --classes 174   (without annotations)
"""
_NOTES = """\
Hours are those of one device. A table counts with all stages behind it; stages that tables share are in each of their
rows, and once in the last. A job takes one device and the jobs of a chain wait for each other, so {gpus} device(s) take
at least the larger of "All / {gpus}" and "Longest chain". Making frames, flow and differences is not part of it;
loading clips is where the source of a rate says so. "Estimated" is the share of hours at rates that were measured for
another network, pass or precision; the rates:"""


def main() -> NoReturn:
    """Run the command with the process's own command line."""
    cli.run(print_cost)


def print_cost(words: Sequence[str] | None = None) -> None:
    """Do what the command line `words` (default: the process's own) asks for.

    Raises InputError for recipes, data sets and rates that cannot be read or do not fit each other.
    """
    options = _parse(words)
    rates = read_rates(options.rates)
    device = choose_device(rates, options.device, options.rates)
    dataset = load_dataset(Path(f"config/datasets/{options.dataset}.yaml"))
    plan, counts = count_videos(dataset, Given(options.clips, options.videos, options.classes))
    tables, names = _plan(plan, list(dict.fromkeys(options.recipe)))
    everything = joined(tables)
    own_rates = [rate for rate in rates if rate.device == device]
    prices = Prices(own_rates, partial(setting_gflops, classes=counts.classes))
    jobs = price_jobs(everything, dataset, counts, prices)
    rows = [table_row("table", table, jobs, counts, options.gpus) for table in tables]
    rows.append(table_row("total", everything, jobs, counts, options.gpus))
    stages = stage_rows(everything, names, jobs, counts) if options.stages else []
    print(_heading(dataset, counts, everything, device), end="\n\n")
    print(tables_text(rows, options.gpus), end="\n\n")
    if stages:
        print(stages_text(stages), end="\n\n")
    print(_NOTES.format(gpus=options.gpus), end="\n\n")
    print(rates_text(prices.used), flush=True)
    if options.csv:
        write_text(options.csv, as_csv([*rows, *stages], device, options.gpus))


def _plan(plan: DataPlan, recipes: Sequence[str]) -> tuple[list[Table], dict[str, tuple[str, str]]]:
    """Return the tables of `recipes`, and the recipe and name of each stage by key (NAME@RUN but for the first run)."""
    tables: list[Table] = []
    names: dict[str, tuple[str, str]] = {}
    for name in recipes:
        file = Path(f"config/recipes/{name}.yaml")
        recipe = load_recipe(file)
        runs = plan_runs(plan, recipe, file)
        check_tables(plan, recipe, file)
        tables += needed_tables(recipe, runs, file=file, root=Path())
        for run, stages in enumerate(runs):
            for stage in stages.values():
                names.setdefault(stage.key, (name, f"{stage.name}@{run}" if run else stage.name))
    return tables, names


def _heading(dataset: DatasetConfig, counts: Counts, everything: Table, device: str) -> str:
    read = {*STAGE_SPLITS, *(file.split for file in everything.scores)}
    videos = ", ".join(f"{count:,} {split}" for split, count in counts.videos.items() if split in read)
    return f"Data set {dataset.name}: videos {videos}; {counts.classes} classes. Device: {device}"


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mml-cost",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--dataset", required=True, metavar="NAME", help="a file of config/datasets")
    parser.add_argument(
        "--recipe",
        required=True,
        action="append",
        metavar="NAME",
        help="a file of config/recipes; once or several times",
    )
    number = parser.add_argument_group("numbers; where all three are given, annotations are not read")
    number.add_argument("--clips", type=_count, metavar="N", help="training clips of an epoch")
    number.add_argument("--videos", type=_count, metavar="N", help="videos of each of the splits validation and test")
    number.add_argument("--classes", type=_count, metavar="N")
    parser.add_argument("--rates", type=Path, default=RATES, metavar="FILE", help=f"default: {RATES}")
    parser.add_argument(
        "--device", metavar="NAME", help="a device of the rates, or a part of its name; default: that of the first row"
    )
    parser.add_argument("--gpus", type=_count, default=1, metavar="N", help="devices that share the work; default: 1")
    parser.add_argument("--stages", action="store_true", help="print a row a stage, too")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the rows as CSV, too")
    return parser.parse_args(words)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


if __name__ == "__main__":
    main()
