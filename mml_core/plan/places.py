"""Where results are. Paths begin with `<results>`, which the workflow replaces by the folder of all results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mml_core.config.networks import DOWNLOADED
from mml_core.errors import InputError
from mml_core.plan.products import ScoreFile
from mml_core.plan.stages import DataPlan, Stage


class History(NamedTuple):
    """The history of the stage of a network whose losses an objective learns from."""

    network: str  # `stage.network`
    file: str
    receipt: str  # small file with a digest of all of it but how long it took


class FirstWeights(NamedTuple):
    """The file of weights that a network, or a part of one, starts from."""

    network: str  # `network` or `network.part`
    file: str
    receipt: str | None  # small file with the digest of the weights; None for a file from outside of the workflow


def stage_folder(stage: Stage) -> str:
    """Return the folder of a stage's results, which is among those of the data set that it is trained on."""
    return f"<results>/{stage.document.dataset}/stages/{stage.key}"


def score_path(file: ScoreFile) -> str:
    """Return where a score file is."""
    return f"<results>/{file.dataset}/scores/{file.stage}/{file.split}-{file.protocol}.h5"


def table_path(dataset: str, recipe: str, name: str) -> str:
    """Return where what a recipe makes of a run on `dataset` is, `name` being that of the file."""
    return f"<results>/{dataset}/tables/{recipe}/{name}"


def figure_path(dataset: str, recipe: str, name: str) -> str:
    """Return where a recipe's figure of a run on `dataset` is, `name` being that of the file."""
    return f"<results>/{dataset}/figures/{recipe}/{name}"


def shard_paths(data: DataPlan, modalities: Iterable[str], splits: Iterable[str], ending: str = "h5") -> list[str]:
    """Return the shards of `splits` that some modalities are read from, each once, or their receipts (`json`)."""
    names = data.shard_names(splits)
    folders = dict.fromkeys(map(data.config.shard_folder, modalities))
    return [f"<results>/{data.config.name}/shards/{folder}/{name}.{ending}" for folder in folders for name in names]


def rgb_paths(data: DataPlan, ending: str = "h5") -> list[str]:
    """Return all shards of decoded frames of a data set, or their receipts."""
    splits = {video.split for video in data.annotations.videos}
    return shard_paths(data, [data.config.rgb_name], splits, ending)


def first_weights(stage: Stage, stages: Mapping[str, Stage]) -> list[FirstWeights]:
    """Return what the networks of `stage` start from, but for those that start at random; `stages` are all, by key."""
    inits = {
        ".".join(filter(None, (network, part))): init
        for network, parts in stage.document.inits.items()
        for part, init in parts.items()
    }
    found = []
    for network, init in inits.items():
        if init.source == "stage":
            folder = stage_folder(stages[init.stage])
            found.append(FirstWeights(network, f"{folder}/weights.safetensors", f"{folder}/config.json"))
        elif init.source in DOWNLOADED:
            name = f"<results>/{init.source}/{init.name}"
            found.append(FirstWeights(network, f"{name}.safetensors", f"{name}.json"))
        elif init.source == "file":
            found.append(FirstWeights(network, init.file, None))
    return found


def check_own_weights(stage: Stage) -> None:
    """Raise InputError where a file of weights that the user named is not there."""
    for network, parts in stage.document.inits.items():
        for part, init in parts.items():
            if init.source == "file" and not Path(init.file).is_file():
                key = f"stages.{stage.name}.networks.{network}.init" + (f".{part}" if part else "")
                raise InputError(
                    f"no such file of weights; {key} names it",
                    file=init.file,
                    hint="relative paths count from the folder that the run is started in",
                )


def histories(stage: Stage, stages: Mapping[str, Stage]) -> list[History]:
    """Return the histories that the objective of `stage` learns from; `stages` are all, by key."""
    folders = {network: stage_folder(stages[key]) for network, key in sorted(stage.document.histories.items())}
    return [History(network, f"{folder}/history.csv", f"{folder}/config.json") for network, folder in folders.items()]


@cache
def file_digest(path: str) -> str:
    """Return the SHA-256 of a file of weights that the user supplied; nothing where it is missing."""
    if not Path(path).is_file():
        return ""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
