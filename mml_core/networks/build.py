"""From the configuration of a network to the network."""

from __future__ import annotations

from mml_core.config.recipe import NetworkConfig
from mml_core.networks.backbones import build_backbone
from mml_core.networks.inflated import InflatedClassifier
from mml_core.networks.tsm import ClipClassifier

#: Any network over clips. All take (B, T, C, H, W), return a `Prediction`, have `frames`, `channels` and the classifier
#: `fc`, and name their parameters as torchvision's ResNets do.
VideoNetwork = ClipClassifier | InflatedClassifier


def build_network(config: NetworkConfig, *, frames: int, channels: int, classes: int) -> VideoNetwork:
    """Return the network that `config` describes, with random weights from torch's global generator.

    `frames` T, `channels` C of an input frame, `classes` N. Its `forward` takes (B, T, C, H, W).
    """
    backbone = build_backbone(config.backbone)
    match config.architecture:
        case "tsm" | "tsn":
            return ClipClassifier(
                backbone,
                frames=frames,
                channels=channels,
                classes=classes,
                dropout=config.dropout,
                shift=config.architecture == "tsm",
            )
        case "i3d":
            return InflatedClassifier(
                backbone, frames=frames, channels=channels, classes=classes, dropout=config.dropout
            )
