"""TSM, TSN and I3D: torchvision's ResNets over clips."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import WHOLE, NetworkBase, OneStream, ResNet


class ResNetNetwork(OneStream):
    """An image ResNet over clips: temporal shift (TSM), none (TSN), or convolutions inflated to 3-D (I3D)."""

    module = "mml_core.networks.resnets"
    parts = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")
    pooled = True

    architecture: Literal["tsm", "tsn", "i3d"] = Field(
        default="tsm", description="temporal shift (TSM), none (TSN), or convolutions inflated to 3-D (I3D)"
    )
    backbone: ResNet = Field(
        default="resnet50", description="torchvision's ResNet; resnet_tiny is a narrow ten-layer one for the demo"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")

    def download(self, source: str, part: str) -> str | None:
        """Return the backbone's name; there are I3Ds trained on Kinetics with resnet50 only, and none of resnet_tiny."""
        if part != WHOLE or self.backbone == "resnet_tiny":
            return None
        if source == "kinetics" and (self.architecture, self.backbone) != ("i3d", "resnet50"):
            return None
        return self.backbone

    def misfit(self, part: str, parent: NetworkBase, parent_part: str) -> str | None:
        """Weights go between ResNets of one backbone, from 2-D to 3-D networks but not back."""
        if part != WHOLE:
            return super().misfit(part, parent, parent_part)
        backbone = getattr(parent, "backbone", None)
        if backbone != self.backbone:
            return f"is a {backbone or parent.architecture}, whose weights do not fit a {self.backbone}"
        if parent.architecture == "i3d" != self.architecture:
            return f"is an I3D, whose 3-D weights do not fit a {self.architecture}"
        if self.is_teacher and (parent.modalities, parent.architecture) != (self.modalities, self.architecture):
            return f"is a {parent.architecture} for {parent.modalities[0]}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The backbone."""
        return self.backbone
