"""TSM, TSN and I3D: torchvision's ResNets over clips."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.base import added
from mml_core.config.networks.base import WHOLE, NetworkBase, OneStream, ResNet


class ResNetNetwork(OneStream):
    """An image ResNet over clips: temporal shift (TSM), none (TSN), or convolutions inflated to 3-D (I3D)."""

    module = "mml_core.networks.resnets"
    parts = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")
    blocks = ("layer1", "layer2", "layer3", "layer4")
    pooled = True
    compiles = True

    architecture: Literal["tsm", "tsn", "i3d"] = Field(
        default="tsm", description="temporal shift (TSM), none (TSN), or convolutions inflated to 3-D (I3D)"
    )
    backbone: ResNet = Field(
        default="resnet50", description="torchvision's ResNet; resnet_tiny is a narrow ten-layer one for the demo"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")

    head_std: float = added(
        0.001,
        gt=0,
        le=1,
        description="standard deviation of a new classifier's weights, whose biases are 0 (TSM: 0.001, SlowFast: 0.01)",
    )

    @property
    def size(self) -> str:
        """The backbone."""
        return self.backbone

    def download(self, source: str, part: str) -> str | None:
        """Return the backbone's name; there are I3Ds trained on Kinetics with resnet50 only, and none of resnet_tiny."""
        if part != WHOLE or self.backbone == "resnet_tiny":
            return None
        if source == "kinetics" and (self.architecture, self.backbone) != ("i3d", "resnet50"):
            return None
        return self.backbone

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between ResNets of one backbone, from 2-D to 3-D networks but not back."""
        assert isinstance(parent, ResNetNetwork)
        if parent.backbone != self.backbone:
            return f"is a {parent.backbone}, whose weights do not fit a {self.backbone}"
        if parent.architecture == "i3d" != self.architecture:
            return f"is an I3D, whose 3-D weights do not fit a {self.architecture}"
        if self.is_teacher and (parent.modality, parent.architecture) != (self.modality, self.architecture):
            return (
                f"is a {parent.architecture} for {parent.modality}, but a frozen network is the one that it starts from"
            )
        return None

    def size_of_features(self) -> str:
        """The backbone."""
        return self.backbone


class ExtendedResNet(OneStream):
    """An image ResNet over clips with modules of its own beside a TSN's, which change nothing where it starts from one."""

    backbone: ResNet = Field(default="resnet50", description="torchvision's ResNet")

    @property
    def size(self) -> str:
        """The backbone."""
        return self.backbone

    def download(self, source: str, part: str) -> str | None:
        """Return the backbone's name: ImageNet weights start it."""
        return self.backbone if source == "imagenet" and part == WHOLE and self.backbone != "resnet_tiny" else None

    def misfit(self, part: str, parent: NetworkBase, parent_part: str) -> str | None:
        """It starts from a TSN, or from another such network."""
        if part == parent_part == WHOLE and isinstance(parent, ResNetNetwork) and not self.is_teacher:
            return stream(self.backbone, self.modality).misfit(WHOLE, parent, WHOLE)
        return super().misfit(part, parent, parent_part)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one backbone."""
        assert isinstance(parent, ExtendedResNet)
        if parent.backbone != self.backbone:
            return f"has a {parent.backbone}, whose weights do not fit a {self.backbone}"
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The backbone."""
        return self.backbone


def stream(backbone: ResNet, modality: str) -> ResNetNetwork:
    """Return the TSN that one stream of a network of several is."""
    return ResNetNetwork(architecture="tsn", backbone=backbone, modality=modality, init="random")
