"""Two-stream cross-modality attention (Chi, Tian, Tian 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, ResNet
from mml_core.config.networks.resnets import ResNetNetwork, stream


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
        """A branch starts from a TSN, to which attention is added, or from the same branch of another such network."""
        if part in self.parts and isinstance(parent, ResNetNetwork) and parent_part == WHOLE:
            return stream(self.backbone, part).misfit(WHOLE, parent, WHOLE)
        return super().misfit(part, parent, parent_part)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one backbone."""
        assert isinstance(parent, CmaNetwork)
        if parent.backbone != self.backbone:
            return f"has a {parent.backbone}, whose weights do not fit a {self.backbone}"
        if self.is_teacher and parent.modalities != self.modalities:
            return f"reads {' and '.join(parent.modalities)}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The backbone."""
        return self.backbone
