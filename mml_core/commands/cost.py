"""The subcommand `mml cost`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from mml_core.commands.types import Count, Positive
from mml_core.cost.counts import Given
from mml_core.cost.options import RATES, CostOptions
from mml_core.errors import InputError

_NUMBERS = Group("Numbers of the data set", help="Where all three are given, annotations are not read.", sort_key=1)


def _count(word: str) -> tuple[str, Given]:
    """Return what NAME=CLIPS,VIDEOS,CLASSES says."""
    name, _, text = word.partition("=")
    numbers = text.split(",")
    if not name or len(numbers) != 3 or not all(number.isdecimal() and int(number) for number in numbers):
        raise InputError(f"--count {word}: expected NAME=CLIPS,VIDEOS,CLASSES, three numbers from 1 on")
    return name, Given(*map(int, numbers))


def cost(
    *,
    dataset: str,
    recipe: list[str],
    clips: Annotated[Count | None, Parameter(group=_NUMBERS)] = None,
    videos: Annotated[Count | None, Parameter(group=_NUMBERS)] = None,
    classes: Annotated[Count | None, Parameter(group=_NUMBERS)] = None,
    count: Annotated[list[str], Parameter(group=_NUMBERS)] = [],  # noqa: B006 - never changed
    rates: Path = RATES,
    device: str | None = None,
    gpus: Count = 1,
    memory: Positive | None = None,
    stages: bool = False,
    csv: Path | None = None,
) -> None:
    """What the tables of a recipe take, before anything is trained.

    How many stages each table needs, what it costs at measured rates, and how much memory of a GPU it takes. Nothing is
    trained or decoded. Run it in the project's root.

    mml cost --dataset ssv2 --recipe paper_mml --gpus 8

    Without annotations: mml cost --dataset ssv2 --recipe paper_mml --clips 168913 --videos 24777 --classes 174

    mml cost --dataset ucf101 --recipe NAME --count ucf101=9537,3783,101 --count kinetics400=240000,19800,400

    Args:
        dataset: a file of config/datasets
        recipe: a file of config/recipes; once or several times
        clips: training clips of an epoch
        videos: videos of each of the splits validation and test
        classes: how many there are
        count: NAME=CLIPS,VIDEOS,CLASSES: all three of the data set NAME, where stages are trained on several; once or
            several times
        rates: file of measured rates
        device: a device of the rates, or a part of its name; default: that of the first row
        gpus: devices that share the work
        memory: of one GPU in GB; default: that of the device, where it is known
        stages: print a row a stage, too
        csv: write the rows as CSV, too
    """
    own = Given(clips, videos, classes)
    from mml_core.cost.command import print_cost

    print_cost(
        CostOptions(dataset, tuple(recipe), own, dict(map(_count, count)), rates, device, gpus, memory, stages, csv)
    )
