"""Which stored views make up another test protocol: one pass over the videos serves all of MML's Table X.

Views are stored dense ones first, then uniform ones, each times its crops. By MML, Appendix A, a view has a place that
does not depend on the video: dense view i of k starts at i/k of the room T' for first frames (at 1/2 where k = 1), and
uniform view i of m takes frame floor((n + i/m) T / N). Both are evaluated in integers, as the floor of one rational
number, so equal places are equal frames, in every video. With segments this holds within each.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from mml_core.config.tables import ProtocolConfig

Place = tuple[Literal["dense", "uniform"], Fraction]


def view_places(protocol: ProtocolConfig) -> list[Place]:
    """Return kind and place, 0 <= place < 1, of each temporal view of `protocol`, in the order they are stored.

    The place of a dense view is where it starts, as a share of T'; that of a uniform view, its phase, as a share of the
    distance of two frames. No place occurs twice.
    """
    dense = [Fraction(1, 2)] if protocol.dense == 1 else [Fraction(i, protocol.dense) for i in range(protocol.dense)]
    uniform = [Fraction(i, protocol.uniform) for i in range(protocol.uniform)]
    return [*(("dense", place) for place in dense), *(("uniform", place) for place in uniform)]


def select_views(stored: ProtocolConfig, wanted: ProtocolConfig) -> list[int]:
    """Return which of the views of `stored` are those of `wanted`, crops included, in the order of `wanted`.

    So `logits[:, select_views(stored, wanted)]` of logits (V, K, N) under `stored` are those under `wanted`. Raises
    ValueError, naming both protocols, where `stored` lacks a view, where crops, segments or motion differ, and where a
    protocol takes all clips, whose places depend on the video's length.
    """
    if "all" in (stored.clips, wanted.clips):
        raise ValueError(
            f"views of {_name(stored)} cannot be counted off for {_name(wanted)}: where all clips are taken, "
            "their number and places depend on the video's length"
        )
    for different, verb in (
        (stored.crop != wanted.crop, "cropped"),
        (stored.segments != wanted.segments, "cut into segments"),
        (stored.static != wanted.static, "moving"),
    ):
        if different:
            raise ValueError(f"views of {_name(stored)} are not {verb} like those of {_name(wanted)}")
    places = view_places(stored)
    index = {place: number for number, place in enumerate(places)}
    for kind, place in view_places(wanted):
        if (kind, place) not in index:
            raise ValueError(f"views of {_name(stored)} lack the {kind} view at {place} of {_name(wanted)}")
    crops = stored.crops
    return [index[place] * crops + crop for place in view_places(wanted) for crop in range(crops)]


def _name(protocol: ProtocolConfig) -> str:
    clips = "all clips" if protocol.clips == "all" else f"dense {protocol.dense} + uniform {protocol.uniform}"
    parts = [protocol.crop, *([f"{protocol.segments} segments"] if protocol.segments else [])]
    return f"{clips} ({', '.join([*parts, *(['static'] if protocol.static else [])])})"
