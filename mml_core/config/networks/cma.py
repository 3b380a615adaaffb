"""Two-stream cross-modality attention (Chi, Tian, Tian 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, ResNet


class CmaNetwork(NetworkBase):
    """Two branches that look at each other through attention in their inner blocks."""

    module = "mml_core.networks.cma"
    parts = ("rgb", "flow")

    architecture: Literal["cma"]
    rgb: Name = Field(default="rgb", description="modality of the first branch")
    flow: Name = Field(default="flow", description="modality of the second branch")
    backbone: ResNet = Field(default="resnet50", description="torchvision's ResNet, of both branches")
    dropout: float = Field(default=0.7, ge=0, lt=1, description="dropout before the classifiers")

    @property
    def size(self) -> str:
        """The backbone."""
        return self.backbone

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the two branches."""
        return (self.rgb, self.flow)

    @property
    def heads(self) -> tuple[str, ...]:
        """Both branches."""
        return self.parts

    def download(self, source: str, part: str) -> str | None:
        """Return the backbone's name: ImageNet weights start a branch."""
        return self.backbone if source == "imagenet" and part != WHOLE and self.backbone != "resnet_tiny" else None

    def misfit(self, part: str, parent: NetworkBase, parent_part: str) -> str | None:
        """A branch starts from a TSN of its backbone, the whole from another network of the kind."""
        if part != WHOLE and getattr(parent, "architecture", "") == "tsn":
            backbone = getattr(parent, "backbone", None)
            return None if backbone == self.backbone else f"is a {backbone}, whose weights do not fit a {self.backbone}"
        return super().misfit(part, parent, parent_part)

    def size_of_features(self) -> str:
        """The backbone."""
        return self.backbone
