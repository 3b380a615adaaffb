"""Small networks of several streams over rgb, flow, differences and sound."""

from __future__ import annotations

from typing import Any

import torch
from choosing import CHANNELS
from pydantic import TypeAdapter
from torch import nn

from mml_core.config.networks import NetworkBase, NetworkConfig
from mml_core.networks import ClipShape, build_network
from mml_core.networks.streams import FusionClassifier


def config_of(architecture: str, **settings: Any) -> NetworkBase:
    """Return the block of a network over rgb and flow, or the `streams` that are named, on the tiny backbone."""
    streams = settings.get("streams", ["rgb", "flow"])
    given = {"architecture": architecture, "streams": streams, "backbones": dict.fromkeys(streams, "resnet_tiny")}
    if architecture == "lateral_fusion":
        given["direction"] = "bilateral"
    return TypeAdapter(NetworkConfig).validate_python({**given, "init": "random", **settings})


def fusion(
    architecture: str, *, classes: int = 5, seed: int = 0, frames: int = 4, stir: bool = True, **settings: Any
) -> FusionClassifier:
    """Return such a network in the mode of testing, with classifiers of ordinary size.

    `stir` draws connections between streams as well, which start as zeros.
    """
    torch.manual_seed(seed)
    network = build_network(config_of(architecture, **settings), ClipShape(frames, CHANNELS), classes=classes)
    for name in network.classifiers:
        nn.init.normal_(network.get_submodule(name).weight, std=0.1)
    if stir and architecture == "lateral_fusion":
        for weight in network.lateral.parameters():
            nn.init.normal_(weight, std=0.05)
    return network.eval()
