"""Image networks over segments that look at fewer and fewer frames: TSN with temporal max-poolings, MobileNetV2 (AdaMML)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, OneStream, ResNet
from mml_core.config.networks.resnets import ExtendedResNet, ResNetNetwork

#: Networks that a stream of AdaMML, or what its policy sees with, can be.
ImageNetwork = ResNet | Literal["mobilenet_v2"]


class TsnPoolNetwork(ExtendedResNet):
    """A TSN with a temporal max-pooling (kernel 3, stride 2) at the start of stages 2, 3 and 4; sound as spectrograms."""

    module = "mml_core.networks.pooled"
    parts = ResNetNetwork.parts
    blocks = ResNetNetwork.blocks
    pooled = True

    architecture: Literal["tsn_pool"]
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")

    def takes(self, modality: str, kind: str) -> bool:
        """It sees, and hears."""
        return True


class MobileNetNetwork(OneStream):
    """MobileNetV2 over spectrograms of sound, or over frames, with two temporal max-poolings."""

    module = "mml_core.networks.pooled"
    parts = ("features", "fc")
    blocks = ("features.18",)
    pooled = True

    architecture: Literal["mobilenet_v2"]
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")

    def takes(self, modality: str, kind: str) -> bool:
        """It sees, and hears."""
        return True

    def download(self, source: str, part: str) -> str | None:
        """Return the network's name: ImageNet weights start it."""
        return "mobilenet_v2" if source == "imagenet" and part == WHOLE else None

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between any two."""
        assert isinstance(parent, MobileNetNetwork)
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """Its name."""
        return "mobilenet_v2"


def image_network(backbone: ImageNetwork, modality: Name) -> TsnPoolNetwork | MobileNetNetwork:
    """Return the network by itself that a stream with `backbone` is."""
    if backbone == "mobilenet_v2":
        return MobileNetNetwork(architecture="mobilenet_v2", modality=modality, init="random")
    return TsnPoolNetwork(architecture="tsn_pool", backbone=backbone, modality=modality, init="random")
