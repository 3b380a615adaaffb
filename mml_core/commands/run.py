"""The subcommand `mml run`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from mml_core.commands.types import Count, Device, Index
from mml_core.config.project import TrackerName


def run(
    *targets: str,
    dataset: str | None = None,
    recipe: list[str] | None = None,
    cores: Count | None = None,
    gpus: Index | None = None,
    device: Device | None = None,
    tracker: TrackerName | None = None,
    dry_run: Annotated[bool, Parameter(alias="-n")] = False,
) -> None:
    """Run the workflow: from videos to trained networks, a table and a report.

    It prints a line for each job that is done and, in the end, the table. Stopped by Ctrl-C or by a fault, it goes on
    with the same command. What is there already is not made again.

    mml run --dataset NAME

    Options behind `--` are handed to snakemake: mml run --dataset NAME -- --keep-going

    Args:
        targets: files of results to make; default: results/ensemble_table.csv, results/report.html, and the table and
            the pages about the data, with all that is behind them
        dataset: a file of config/datasets; default: the one that `mml start` wrote here, or as config/config.yaml says
        recipe: a file of config/recipes, once or several times; default: the one that `mml start` wrote with the data
            set, or as config/config.yaml says
        cores: processor cores to use; default: all
        gpus: GPUs to use; default: all that there are
        device: where networks run; default: as config/config.yaml says, a GPU where there is one
        tracker: tell another program of the trainings' progress, besides TensorBoard's files (docs/start.md)
        dry_run: tell what would run and how long it would take
    """
    from mml_core.run_command.command import RunOptions, run_workflow

    # only behind `--` can there be words that begin like options
    end = next((index for index, word in enumerate(targets) if word.startswith("-")), len(targets))
    run_workflow(RunOptions(targets[:end], dataset, recipe or (), device, tracker, cores, gpus, dry_run, targets[end:]))
