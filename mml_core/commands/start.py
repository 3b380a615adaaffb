"""The subcommand `mml start`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mml_core.commands.types import Count, Index


def start(
    source: Path,
    /,
    *,
    name: str | None = None,
    videos: Path | None = None,
    scale: Literal["small", "medium", "paper"] | None = None,
    weights: str | None = None,
    limit: Count | None = None,
    cores: Count | None = None,
    gpus: Index | None = None,
    force: bool = False,
) -> None:
    """Look at a folder of videos and write what is needed to train on them here.

    It writes config/datasets/NAME.yaml and config/recipes/NAME.yaml in the current folder, and says how many videos
    each class has, what is odd about them, how long a run takes on this machine, and what to type next.

    mml start path/to/videos

    Args:
        source: a folder with a folder of videos for each class, or with such folders in folders called train,
            validation and test; or a CSV file with the columns path, label and split
        name: of the data set; default: that of the folder or file
        videos: folder that paths in a CSV file count from; default: the file's own
        scale: size of networks and pictures, and how long they learn; default: what suits this machine and so many
            videos
        weights: what networks start from: a file (a ResNet's state dict in torchvision's layout), imagenet
            (torchvision's, downloaded where they are not here) or random; default: imagenet where it can be had
        limit: use at most so many videos of each class in each split, for a first look
        cores: processor cores that hours are told for; default: all
        gpus: GPUs that the scale and hours are told for; default: all
        force: write over files that are there
    """
    from mml_core.start_command.command import StartOptions
    from mml_core.start_command.command import start as begin

    begin(StartOptions(source, name, videos, scale, weights, limit, cores, gpus, force))
