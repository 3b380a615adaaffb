"""Where the views of a test protocol lie in a video, and whether those of one protocol are among those of another.

By MML, Appendix A, a view has a place that does not depend on the video: dense view i of k starts at i/k of the room T'
for first frames (at 1/2 where k = 1), and uniform view i of m takes frame floor((n + i/m) T / N). Both are evaluated in
integers, as the floor of one rational number, so equal places are equal frames, in every video; so are those of dense
views that are spaced to both ends, among themselves. With segments this holds within each.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from mml_core.config.protocols import ProtocolConfig

#: dense_ends: a dense view whose place is a share of the room without its last first frame, rounded; uniform_ends: the
#: uniform view that has the first and the last frame.
Place = tuple[Literal["dense", "dense_ends", "uniform", "uniform_ends"], Fraction]


def view_places(protocol: ProtocolConfig) -> list[Place]:
    """Return kind and place, 0 <= place <= 1, of each temporal view of `protocol`, in the order they are stored.

    The place of a dense view is where it starts, as a share of T'; that of a uniform view, its phase, as a share of the
    distance of two frames. No place occurs twice. Not for protocols that take all clips.
    """
    dense: list[Place] = [("dense", Fraction(i, protocol.dense)) for i in range(protocol.dense)]
    if protocol.dense == 1:
        dense = [("dense", Fraction(1, 2))]
    elif protocol.dense_spacing == "ends":
        dense = [("dense_ends", Fraction(i, protocol.dense - 1)) for i in range(protocol.dense)]
    uniform: list[Place] = [("uniform", Fraction(i, protocol.uniform)) for i in range(protocol.uniform)]
    if protocol.phase == "middle":  # of one clip alone, as is the next
        uniform = [("uniform", Fraction(1, 2))]
    elif protocol.phase == "ends":
        uniform = [("uniform_ends", Fraction(0))]
    return [*dense, *uniform]


def lacking_views(stored: ProtocolConfig, wanted: ProtocolConfig) -> str | None:
    """Return why the views of `wanted` are not among those of `stored`, naming both, or None where they are.

    They are not where one is missing, where crops, segments, motion, noise or missing modalities differ, and where a
    protocol takes all clips, whose places depend on the video's length.
    """
    if "all" in (stored.clips, wanted.clips):
        return (
            f"views of {_name(stored)} cannot be counted off for {_name(wanted)}: where all clips are taken, "
            "their number and places depend on the video's length"
        )
    for different, verb in (
        (stored.crop != wanted.crop, "cropped"),
        (stored.segments != wanted.segments, "cut into segments"),
        (stored.static != wanted.static, "moving"),
        (stored.noise != wanted.noise, "noisy"),
        (stored.missing != wanted.missing, "of modalities that are missing"),
    ):
        if different:
            return f"views of {_name(stored)} are not {verb} like those of {_name(wanted)}"
    places = view_places(stored)
    missing = [f"the {kind} view at {place}" for kind, place in view_places(wanted) if (kind, place) not in places]
    return f"views of {_name(stored)} lack {missing[0]} of {_name(wanted)}" if missing else None


def _name(protocol: ProtocolConfig) -> str:
    spacing = " to both ends" if protocol.dense_spacing == "ends" else ""
    phase = {"start": "", "middle": ", middle", "ends": ", from end to end"}[protocol.phase]
    counted = f"dense {protocol.dense}{spacing} + uniform {protocol.uniform}{phase}"
    parts = [protocol.crop, *([f"{protocol.segments} segments"] if protocol.segments else [])]
    clips = "all clips" if protocol.clips == "all" else counted
    parts += ["static"] if protocol.static else []
    return f"{clips} ({', '.join([*parts, *disturbances(protocol)])})"


def disturbances(protocol: ProtocolConfig) -> list[str]:
    """Return what happens to modalities under `protocol` in words, in the order of their names."""
    measures = {"variance": "σ²", "deviation": "σ"}
    told = {
        name: f"{name} with noise ({measures[noise.measure]} = {noise.level:g}"
        + (" on colours" if noise.of == "colours" else "")
        + (f", seed {noise.seed}" if noise.seed else "")
        + ")"
        for name, noise in protocol.noise.items()
    }
    told |= {name: f"{name} missing" for name in protocol.missing}
    return [told[name] for name in sorted(told)]
