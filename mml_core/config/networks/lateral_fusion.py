"""Streams with connections between their inner blocks (Xiao et al. 2020), in one direction or in all."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import NetworkBase
from mml_core.config.networks.streams import FusionNetwork


class LateralFusionNetwork(FusionNetwork):
    """Streams that add to each other's inner features, and whose scores are added up with learnable weights.

    `net.rgb` are the scores of the stream of rgb, with what it gets from the others. Each stream is a part as well,
    `streams.rgb`, and a tsn_pool or mobilenet_v2 by itself; `lateral` are the connections.
    """

    module = "mml_core.networks.lateral_fusion"
    parts = ("streams", "lateral", "fusion")

    architecture: Literal["lateral_fusion"]
    direction: Literal["unilateral", "bilateral"] = Field(
        description="unilateral: from all other streams into the first one; bilateral: from each stream into all others"
    )

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of the same streams, backbones and connections."""
        assert isinstance(parent, LateralFusionNetwork)
        if parent.direction != self.direction:
            return f"has {parent.direction} connections"
        return super().unlike(parent)
