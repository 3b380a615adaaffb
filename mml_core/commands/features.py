"""The subcommand `mml features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from mml_core.commands.types import Count, Device, Positive
from mml_core.config.flow import Tvl1Engine
from mml_core.errors import InputError
from mml_core.runtime.compute import available_cores

_WINDOWS = Group("How videos are cut", sort_key=1)
_COMPUTES = Group("What computes it", sort_key=2)


def features(
    bundle: Path,
    /,
    *videos: str,
    out: Path,
    window: Annotated[Positive | None, Parameter(group=_WINDOWS)] = None,
    stride: Annotated[Positive | None, Parameter(group=_WINDOWS)] = None,
    whole: Annotated[bool, Parameter(group=_WINDOWS)] = False,
    device: Annotated[Device, Parameter(group=_COMPUTES)] = "auto",
    threads: Annotated[Count | None, Parameter(group=_COMPUTES)] = None,
    batch: Annotated[Count, Parameter(group=_COMPUTES)] = 32,
    engine: Annotated[Tvl1Engine, Parameter(group=_COMPUTES)] = "auto",
) -> None:
    """Write what networks see in videos: features by window, for search, clustering or classifiers of your own.

    mml features bundles/mml_single-mml.rgb folder --out features.h5

    mml features bundles/mml_single-mml.rgb long.mp4 --window 2 --stride 1 --out long.npz

    Features of a member of the row are those that its classifier sees: pooled over space and time, the mean over the
    views of a window. A video that cannot be used is told with its reason and ends no other; the exit status is 1 then.
    The same command goes on with a run that was interrupted.

    Args:
        bundle: folder that `mml bundle` made
        videos: files, folders with videos, or patterns
        out: a name that ends in .h5, one file for all videos; .npz, a file of one video; without ending, a folder with
            a .npz for each video
        window: longer videos are cut into windows of so many seconds; default: as in `mml predict`
        stride: seconds from the beginning of a window to that of the next; default: its length
        whole: take every video as a whole, however long
        device: auto: a GPU if there is one
        threads: threads of a processor, and videos that are read at a time; default: every core
        batch: clips that go through a network together at most
        engine: what computes TV-L1 flow, where the model reads it; auto: the fastest here
    """
    if not videos:
        raise InputError("no video is named", hint="`mml features --help` says how")
    from mml_core.features_command.command import write_features
    from mml_core.predict_command.shown import ShownOptions

    cores = threads or available_cores()
    write_features(ShownOptions(bundle, list(videos), window, stride, whole, device, cores, batch, engine), out)
