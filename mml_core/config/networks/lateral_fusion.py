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

    @property
    def size(self) -> str:
        """The backbones, and where the connections go: they are a tenth of the operations."""
        return f"{super().size} {self.direction}"

    def read_for(self, part: str) -> tuple[str, ...]:
        """With connections in one direction, all streams but the first have scores of their own."""
        own = self.direction == "unilateral" and part in self.heads[1:]
        return (part,) if own else self.tested_modalities

    def unlike(self, parent: NetworkBase) -> str | None:
        """Weights go between networks of the same streams, backbones and connections."""
        assert isinstance(parent, LateralFusionNetwork)
        if parent.direction != self.direction:
            return f"has {parent.direction} connections"
        return super().unlike(parent)
