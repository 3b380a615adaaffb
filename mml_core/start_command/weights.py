"""First weights: a file that is named, torchvision's where they are here or can be had, or none."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from mml_core.errors import InputError
from mml_core.networks.weights import read_weight_file
from mml_core.start_command.layout import written_path

_LIMIT_SEC = 5.0


class FirstWeights(NamedTuple):
    """What `init:` of the first networks says, and what is to be said about it."""

    init: str
    told: str


def first_weights(given: str | None, backbone: str) -> FirstWeights:
    """Return the first weights for `backbone`: imagenet, random, a file, or (None) the best that can be had here.

    Raises InputError where a file cannot be read as weights.
    """
    url = _url(backbone)
    cached = _cache() / url.rpartition("/")[2]
    match given:
        case "imagenet" | None if cached.is_file():
            return FirstWeights("imagenet", f"ImageNet weights are here: {cached}")
        case "imagenet":
            return FirstWeights("imagenet", f"ImageNet weights will be downloaded from {url}")
        case None if _can_be_had(url):
            return FirstWeights("imagenet", f"ImageNet weights will be downloaded, once, from {url}")
        case None:
            return FirstWeights("random", _warning(url, cached))
        case "random":
            return FirstWeights("random", "networks start at random, as asked")
        case _:
            read_weight_file(Path(given))
            return FirstWeights(written_path(Path(given)), f"weights: {given}")


def _warning(url: str, cached: Path) -> str:
    return (
        "WARNING: no weights to start from are here, and they cannot be downloaded: networks start at random. With "
        "some hundred videos they then learn little beyond the background: expect far less than from ImageNet "
        "weights.\n"
        f"  Get {url} on another machine, put it into {cached.parent}, and start again with --force; "
        "or name any ResNet's state dict in torchvision's layout with --weights FILE."
    )


def _cache() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _url(backbone: str) -> str:
    from torchvision.models import get_model_weights

    return get_model_weights(backbone).IMAGENET1K_V1.url


def _can_be_had(url: str) -> bool:
    """Whether the server answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_LIMIT_SEC):  # noqa: S310 - https
            return True
    except (OSError, urllib.error.URLError, ValueError):
        return False


def check_given(given: str | None) -> None:
    """Raise InputError where weights are named that are no file, before anything takes time."""
    if given not in (None, "imagenet", "random") and not Path(given).is_file():
        raise InputError("there is no such file of weights", file=given, hint="--weights FILE, imagenet or random")
