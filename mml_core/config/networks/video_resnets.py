"""R(2+1)D and its relatives: torchvision's ResNets over clips (Tran et al. 2018)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.networks.base import WHOLE, NetworkBase, OneStream
from mml_core.kinds import Scale


class VideoResNetNetwork(OneStream):
    """A ResNet of 18 layers over clips: convolutions over space and then time, over both at once, or over both at first.

    r2plus1d_18 is R(2+1)D, r3d_18 is R3D, mc3_18 is MC3. torchvision's weights fit as they are.
    """

    module = "mml_core.networks.video_resnets"
    parts = ("stem", "layer1", "layer2", "layer3", "layer4", "fc")
    blocks = ("layer1", "layer2", "layer3", "layer4")
    pooled = True

    architecture: Literal["r2plus1d_18", "r3d_18", "mc3_18"]
    scale: Scale | dict[Name, Scale] = Field(
        default="torchvision",
        description="of its inputs, as in other networks; default: as torchvision's weights of Kinetics take them",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout before the classifier")

    def download(self, source: str, part: str) -> str | None:
        """Return the name of torchvision's weights, which are of networks trained on Kinetics."""
        return self.architecture if (source, part) == ("kinetics", WHOLE) else None

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one architecture."""
        assert isinstance(parent, VideoResNetNetwork)
        if parent.architecture != self.architecture:
            return f"is an {parent.architecture}, whose weights do not fit an {self.architecture}"
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """All have as many."""
        return "a ResNet of 18 layers over clips"
