"""Streams whose features gate each other: the collaborative experts of Liu et al. (2019)."""

from __future__ import annotations

from typing import Literal

from mml_core.config.networks.streams import FusionNetwork


class GatedFusionNetwork(FusionNetwork):
    """Streams without classifiers, whose features open and close each other's; the scores of all are added up.

    `net.rgb` are the scores of the features of rgb, as the others gate them. Each stream is a part as well, `streams.rgb`,
    a tsn_pool or mobilenet_v2 without its classifier; `experts` are the projections to one size and the classifiers.
    """

    module = "mml_core.networks.gated_fusion"
    parts = ("streams", "experts", "gating", "fusion")

    architecture: Literal["gated_fusion"]
