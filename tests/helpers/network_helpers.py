"""Small networks and a literal temporal shift, for the tests of several files."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from mml_core.config.networks import NetworkConfig, ResNetNetwork
from mml_core.networks import ClipShape, VideoNetwork, build_network


def network_config(**settings: Any) -> ResNetNetwork:
    """Return the block of a randomly initialised network, by default on the tiny backbone."""
    return ResNetNetwork(**{"modality": "rgb", "init": "random", "backbone": "resnet_tiny", **settings})


def build(
    *, frames: int = 4, channels: int = 3, classes: int = 5, seed: int = 0, backbone: str = "resnet_tiny", **rest: Any
) -> VideoNetwork:
    """Return a ResNet over clips with weights drawn from `seed`."""
    torch.manual_seed(seed)
    config = network_config(backbone=backbone, **rest)
    return build_network(config, ClipShape(frames, {"rgb": channels}), classes=classes)


def build_3d(
    architecture: str, *, frames: int = 16, channels: int = 3, classes: int = 5, seed: int = 0, **rest: Any
) -> VideoNetwork:
    """Return a network of another family over one modality, with weights drawn from `seed`."""
    torch.manual_seed(seed)
    block = {"modality": "rgb", "init": "random", "architecture": architecture, **rest}
    config = TypeAdapter(NetworkConfig).validate_python(block)
    return build_network(config, ClipShape(frames, {"rgb": channels}), classes=classes)


def shift_by_loop(x: Tensor, frames: int) -> Tensor:
    """Return the temporal shift of `x` (B * T, C, H, W), one channel of one frame at a time."""
    fold = x.shape[1] // 8
    shifted = torch.zeros_like(x)
    for image in range(x.shape[0]):
        frame = image % frames
        for channel in range(x.shape[1]):
            if channel < fold:
                source = frame + 1
            elif channel < 2 * fold:
                source = frame - 1
            else:
                source = frame
            if 0 <= source < frames:
                shifted[image, channel] = x[image - frame + source, channel]
    return shifted
