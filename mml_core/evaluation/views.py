"""Which stored views make up another test protocol: one pass over the videos serves all of MML's Table X.

Views are stored dense ones first, then uniform ones, each times its crops (`mml_core.config.views` has their places).
"""

from __future__ import annotations

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.views import lacking_views, view_places


def select_views(stored: ProtocolConfig, wanted: ProtocolConfig) -> list[int]:
    """Return which of the views of `stored` are those of `wanted`, crops included, in the order of `wanted`.

    So `logits[:, select_views(stored, wanted)]` of logits (V, K, N) under `stored` are those under `wanted`. Raises
    ValueError, naming both protocols, where `stored` lacks a view (`lacking_views`).
    """
    if reason := lacking_views(stored, wanted):
        raise ValueError(reason)
    index = {place: number for number, place in enumerate(view_places(stored))}
    crops = stored.crops
    return [index[place] * crops + crop for place in view_places(wanted) for crop in range(crops)]
