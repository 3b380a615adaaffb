"""References to networks of other stages, and files of weights."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from mml_core.config.base import possible_path

WEIGHT_FILES = (".safetensors", ".pth", ".pth.tar", ".pyth")
REFERENCE_PATTERN = r"^[a-z][a-z0-9_]{0,63}\.[a-z][a-z0-9_]{0,63}(\.[a-z0-9_]{1,64}){0,7}$"
#: `stage.network`: the network of another stage of the recipe; `stage.network.part`: a part of it.
NetworkRef = Annotated[str, StringConstraints(pattern=REFERENCE_PATTERN)]
#: `stage.network`: a whole one.
WholeNetworkRef = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}\.[a-z][a-z0-9_]{0,63}$")]


def is_reference(init: str) -> bool:
    """Whether `init` names a network of another stage, or a part of one (and not a file, `imagenet` or `random`)."""
    return re.match(REFERENCE_PATTERN, init) is not None and not init.endswith(WEIGHT_FILES)


def weights_path(init: str) -> str:
    """Return `init`, as a full path where it is one from the home folder on.

    Raises ValueError for paths for which `possible_path` does.
    """
    path = possible_path(Path(init)) if init.endswith(WEIGHT_FILES) else None
    return os.fspath(path) if path and init.startswith("~") else init


def split_reference(reference: str) -> tuple[str, str, str]:
    """Return stage, network and part (empty for the whole network) of a reference."""
    stage, network, *part = reference.split(".", 2)
    return stage, network, part[0] if part else ""


def whole_network(reference: str) -> str:
    """Return the network `stage.network` that `reference` is, or is a part of."""
    return ".".join(split_reference(reference)[:2])
