"""The family of image ResNets over clips: TSM, TSN and I3D."""

from __future__ import annotations

from mml_core.config.networks.resnets import ResNetNetwork
from mml_core.networks.backbones import build_backbone
from mml_core.networks.inflated import InflatedClassifier
from mml_core.networks.interface import ClipShape
from mml_core.networks.tsm import ClipClassifier


def build(config: ResNetNetwork, shape: ClipShape, *, classes: int) -> ClipClassifier | InflatedClassifier:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    backbone, channels = build_backbone(config.backbone), shape.channels[config.modality]
    settings = {"frames": shape.frames, "channels": channels, "classes": classes}
    settings |= {"dropout": config.dropout, "head_std": config.head_std}
    if config.architecture == "i3d":
        return InflatedClassifier(backbone, **settings)
    return ClipClassifier(backbone, **settings, shift=config.architecture == "tsm")
