"""GFLOPs of a network that is described and never made: only shapes are computed."""

from __future__ import annotations

import functools

import torch

from mml_core.config.networks import ResNetNetwork
from mml_core.cost.rates import Setting
from mml_core.networks import build_network, gflops_per_clip


def setting_gflops(setting: Setting, classes: int) -> float:
    """Return the GFLOPs (1e9 multiply-accumulates) of one forward pass over a clip of `setting`, for `classes` N."""
    network = (setting.architecture, setting.backbone)
    return _gflops(*network, setting.channels, setting.frames, setting.crop_px, classes)


@functools.cache
def _gflops(architecture: str, backbone: str, channels: int, frames: int, side: int, classes: int) -> float:
    config = ResNetNetwork(modality="any", init="random", architecture=architecture, backbone=backbone)
    with torch.device("meta"):
        network = build_network(config, frames=frames, channels=channels, classes=classes)
    return gflops_per_clip(network, (frames, channels, side, side))
