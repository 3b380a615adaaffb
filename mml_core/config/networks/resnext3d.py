"""3-D ResNeXt, the network of MARS and MERS (Hara, Kataoka, Satoh 2018; Crasto et al. 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import NetworkBase, OneStream


class ResNext3dNetwork(OneStream):
    """A 3-D ResNeXt; parameters are named as in the published weights.

    Checkpoints of craston/MARS and kenshohara/3D-ResNets-PyTorch (.pth) are read as they are. Names and shapes are those
    of the public code, with which loading is tested; the published files themselves were not tried.
    """

    module = "mml_core.networks.resnext3d"
    parts = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")
    blocks = ("layer1", "layer2", "layer3", "layer4")
    pooled = True

    architecture: Literal["resnext3d"]
    depth: Literal["tiny", 50, 101] = Field(
        default=101, description="layers; tiny is a narrow network of one block a stage for the demo"
    )
    cardinality: int = Field(default=32, ge=1, le=256, description="groups of the convolutions in the blocks")

    @property
    def size(self) -> str:
        """Depth and cardinality: `101x32`."""
        return f"{self.depth}x{self.cardinality}"

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one depth and cardinality."""
        assert isinstance(parent, ResNext3dNetwork)
        if (parent.depth, parent.cardinality) != (self.depth, self.cardinality):
            return f"has depth {parent.depth} and cardinality {parent.cardinality}, not {self.depth} and {self.cardinality}"
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The depth: two networks of one depth have as many features."""
        return f"a 3-D ResNeXt of depth {self.depth}"
