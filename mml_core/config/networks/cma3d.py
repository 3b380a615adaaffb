"""Cross-modality attention in three dimensions, between two P3D ResNets (Chi et al. 2019, section 5.6)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import WHOLE, NetworkBase
from mml_core.config.networks.cma import TwoBranches
from mml_core.config.networks.p3d import PARTS, Depth, P3dNetwork


class Cma3dNetwork(TwoBranches):
    """Two P3D ResNets that look at each other behind the last unit of res4: each place of a clip at all places and times.

    What is in a branch is a part as well, so that its layers before the block can be left as they are:
    `frozen: [flow, rgb.conv1_custom, rgb.bn1, rgb.layer1, rgb.layer2, rgb.layer3]`.
    """

    module = "mml_core.networks.cma3d"
    inner = (*PARTS, "attention")

    architecture: Literal["cma3d"]
    depth: Depth = Field(default=152, description="of both branches, as that of a p3d")

    @property
    def size(self) -> str:
        """The depth."""
        return str(self.depth)

    def misfit(self, part: str, parent: NetworkBase, parent_part: str) -> str | None:
        """A branch starts from a P3D, to which attention is added, or from the same branch."""
        if part in self.parts and parent_part == WHOLE and isinstance(parent, P3dNetwork):
            alone = P3dNetwork(architecture="p3d", depth=self.depth, modality=parent.modality, init="random")
            return alone.misfit(WHOLE, parent, WHOLE)
        return super().misfit(part, parent, parent_part)

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of one depth."""
        assert isinstance(parent, Cma3dNetwork)
        if parent.depth != self.depth:
            return f"has depth {parent.depth}, not {self.depth}"
        return super().unlike(parent)

    def size_of_features(self) -> str:
        """The depth, once for each branch whose scores it gives."""
        return " and ".join([f"a P3D of depth {self.depth}"] * len(self.scores))
