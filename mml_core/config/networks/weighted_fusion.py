"""Streams whose scores are added up with learnable weights: the late fusion of AdaMML without its policy."""

from __future__ import annotations

from typing import Literal

from mml_core.config.networks.streams import FusionNetwork


class WeightedFusionNetwork(FusionNetwork):
    """Streams whose scores are added up with learnable weights; `net.rgb` are the scores of the stream of rgb.

    Each stream is a part as well, `streams.rgb`, and a tsn_pool or mobilenet_v2 by itself.
    """

    module = "mml_core.networks.weighted_fusion"
    parts = ("streams", "fusion")

    architecture: Literal["weighted_fusion"]
