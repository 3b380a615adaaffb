"""P3D ResNet, the three-dimensional network of cross-modality attention (Qiu, Yao, Mei 2017; Chi et al. 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import NetworkBase, OneStream

Depth = Literal["tiny", 50, 101, 152]
#: Modules of a P3D ResNet in their order; names are those of the public port.
PARTS = ("conv1_custom", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")


class P3dNetwork(OneStream):
    """A ResNet whose 3 x 3 convolutions are pairs of one over space and one over time, in three forms in turn.

    Parameters are named as in qijiezhao/pseudo-3d-pytorch, whose checkpoints (under a name that ends in .pth) are read as
    they are. Names and shapes are those of the public code, with which loading is tested; the published files themselves
    were not tried.
    """

    module = "mml_core.networks.p3d"
    parts = PARTS
    blocks = ("layer1", "layer2", "layer3", "layer4")
    pooled = True

    architecture: Literal["p3d"]
    depth: Depth = Field(
        default=152,
        description="layers of the ResNet that it is made from: 50, 101 and 152 are P3D-63, P3D-131 and P3D-199; "
        "tiny is a narrow network of one unit a stage for the demo",
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the classifier")

    @property
    def size(self) -> str:
        """The depth."""
        return str(self.depth)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one depth."""
        assert isinstance(parent, P3dNetwork)
        if parent.depth != self.depth:
            return f"has depth {parent.depth}, not {self.depth}"
        if self.is_teacher and parent.modality != self.modality:
            return f"reads {parent.modality}, but a frozen network is the one that it starts from"
        return None

    def size_of_features(self) -> str:
        """The depth: two networks of one depth have as many features."""
        return f"a P3D of depth {self.depth}"
