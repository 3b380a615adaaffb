"""The subcommand `mml predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from mml_core.commands.types import Count, Device, Positive
from mml_core.config.flow import Tvl1Engine
from mml_core.errors import InputError
from mml_core.runtime.compute import available_cores

_WINDOWS = Group("How videos are cut", sort_key=1)
_OUTPUT = Group("What is said", sort_key=2)
_COMPUTES = Group("What computes it", sort_key=3)


def predict(
    bundle: Path,
    /,
    *videos: str,
    window: Annotated[Positive | None, Parameter(group=_WINDOWS)] = None,
    stride: Annotated[Positive | None, Parameter(group=_WINDOWS)] = None,
    whole: Annotated[bool, Parameter(group=_WINDOWS)] = False,
    top: Annotated[Count, Parameter(group=_OUTPUT)] = 3,
    json: Annotated[bool, Parameter(group=_OUTPUT)] = False,
    csv: Annotated[bool, Parameter(group=_OUTPUT)] = False,
    annotate: Annotated[Path | None, Parameter(group=_OUTPUT)] = None,
    device: Annotated[Device, Parameter(group=_COMPUTES)] = "auto",
    threads: Annotated[Count | None, Parameter(group=_COMPUTES)] = None,
    batch: Annotated[Count, Parameter(group=_COMPUTES)] = 32,
    engine: Annotated[Tvl1Engine, Parameter(group=_COMPUTES)] = "auto",
) -> None:
    """Say what is in videos: labels with probabilities.

    mml predict bundles/mml_single-mml.rgb video.mp4

    mml predict bundles/mml_single-mml.rgb folder "clips/*.webm" --csv > labels.csv

    mml predict bundles/mml_single-mml.rgb long.mp4 --window 10 --stride 5 --annotate seen.mp4

    A video that cannot be used is told with its reason and ends no other; the exit status is 1 then.

    Args:
        bundle: folder that `mml bundle` made
        videos: files, folders with videos, or patterns
        window: longer videos are cut into windows of so many seconds; default: videos longer than three times the
            median of the training videos, into windows of that median
        stride: seconds from the beginning of a window to that of the next; default: its length
        whole: take every video as a whole, however long
        top: how many of the likeliest classes are told
        json: an object of JSON a video, one a line
        csv: a row a window and class
        annotate: write the video with what is said drawn over it: a name that ends in .mp4 or .mkv, or for several
            videos a folder
        device: auto: a GPU if there is one
        threads: threads of a processor, and videos that are read at a time; default: every core
        batch: clips that go through a network together at most
        engine: what computes TV-L1 flow, where the model reads it; auto: the fastest here
    """
    if not videos:
        raise InputError("no video is named", hint="`mml predict --help` says how")
    if json and csv:
        raise InputError("--json and --csv are two forms", hint="choose one")
    from mml_core.predict_command.command import PredictOptions, predict_videos
    from mml_core.predict_command.shown import ShownOptions

    form = "json" if json else "csv" if csv else "text"
    cores = threads or available_cores()
    shown = ShownOptions(bundle, list(videos), window, stride, whole, device, cores, batch, engine)
    predict_videos(PredictOptions(shown, top, form, annotate))
