"""From the configuration of a network to the network: each family's module builds its own."""

from __future__ import annotations

import importlib
import importlib.util

from mml_core.config.networks import NetworkBase
from mml_core.errors import InputError
from mml_core.networks.interface import ClipShape, VideoNetwork


def build_network(config: NetworkBase, shape: ClipShape, *, classes: int) -> VideoNetwork:
    """Return the network that `config` describes, with random weights from torch's global generator; `classes` N.

    Raises InputError for an architecture that can be planned with but is not part of this version yet.
    """
    if importlib.util.find_spec(config.module) is None:
        raise InputError(
            f"networks of architecture {config.architecture} are not part of this version",
            hint="their stages can be planned (-n) only",
        )
    return importlib.import_module(config.module).build(config, shape, classes=classes)
