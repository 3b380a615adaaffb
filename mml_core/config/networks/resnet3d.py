"""3-D ResNets (Hara, Kataoka, Satoh 2018)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.networks.base import NetworkBase, OneStream
from mml_core.kinds import Scale


class ResNet3dNetwork(OneStream):
    """A ResNet whose convolutions are all over space and time; parameters are named as in the published weights.

    Checkpoints of kenshohara/3D-ResNets-PyTorch (.pth) are read as they are. Names and shapes are those of the public
    code, with which loading is tested; the published files themselves were not tried.
    """

    module = "mml_core.networks.resnet3d"
    parts = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")
    blocks = ("layer1", "layer2", "layer3", "layer4")
    pooled = True

    architecture: Literal["resnet3d"]
    depth: Literal[18, 34, 50, 101] = Field(default=50, description="layers")
    scale: Scale | dict[Name, Scale] = Field(
        default="resnets3d", description="of its inputs, as in other networks; default: as the newer published weights"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout before the classifier")

    @property
    def size(self) -> str:
        """The depth."""
        return str(self.depth)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one depth."""
        assert isinstance(parent, ResNet3dNetwork)
        if parent.depth != self.depth:
            return f"has depth {parent.depth}, not {self.depth}"
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The depth."""
        return f"a 3-D ResNet of depth {self.depth}"
