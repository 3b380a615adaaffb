"""How videos become the inputs of an exported model, as data for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mml_core.bundles.format import BundleDocument
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import RgbModality
from mml_core.config.protocols import ProtocolConfig
from mml_core.export.formats import free_number, output_names
from mml_core.export.inputs import GraphInput
from mml_core.kinds import kind_of

PREPROCESSING = "preprocessing.json"


def preprocessing(document: BundleDocument, inputs: Sequence[GraphInput]) -> dict[str, Any]:
    """Return all that turns a video into the inputs of the graph, and its outputs into labels, as plain data."""
    frames = document.video.modalities[document.video.rgb]
    return {
        "format": "mml-export",
        "version": 1,
        "name": document.name,
        "classes": list(document.classes),
        "multi_label": document.multi_label,
        "frames": frames.model_dump(mode="json"),
        "modalities": {name: one.model_dump(mode="json") for name, one in document.video.modalities.items()},
        "inputs": [_input(document, one) for one in inputs],
        "outputs": output_names([member.reference for member in document.members]),
        "protocol": document.protocol.model_dump(mode="json"),
        "views": document.protocol.views,
        "fusion": document.fusion,
        "weights": {member.reference: member.weight for member in document.members},
        "temperature": document.calibration.temperature,
    }


def _input(document: BundleDocument, one: GraphInput) -> dict[str, Any]:
    """Return what is said of an input; normalisation is in the graph, and told for those who look into it."""
    scales = {
        network.config.scale_of(one.modality)
        for network in document.networks.values()
        if one.modality in network.config.modalities and network.clip == one.clip
    }
    told: dict[str, Any] = {
        "name": one.name,
        "modality": one.modality,
        "kind": one.kind,
        "what": meaning_of(one),
        "dtype": one.dtype,
        "shape": axes_of(one),
        "clip": one.clip.model_dump(mode="json"),
        "normalised_in_the_graph": {scale: kind_of(one.kind).scales[scale] for scale in sorted(scales)},
    }
    if one.kind == "audio":
        return told
    frames, protocol = document.video.modalities[document.video.rgb], document.protocol
    assert isinstance(frames, RgbModality)
    box = one.clip.crop_px if protocol.crop in ("center", "ten") else frames.short_side_px
    quarters = {"three": [0, 2, 4], "ten": None}.get(protocol.crop, [2])
    told["crops"] = {"box_px": box, "side_px": one.shape[-1], "quarters": quarters}
    told["views"] = views_of(one.clip, protocol) if protocol.clips == "counted" else None
    return told


def views_of(clip: ClipConfig, protocol: ProtocolConfig) -> list[dict[str, Any]]:
    """Return where the frames of each counted clip lie among P positions, one after the other.

    positions: frame n is at numerators[n] * (P - less) // denominator. dense: clip `number` of `of`, see the protocol.
    """
    total, count = protocol.segments_of(clip) * clip.frames, protocol.uniform
    dense = [
        {"kind": "dense", "number": number, "of": protocol.dense, "frames": clip.frames, "window": clip.dense_window}
        for number in range(protocol.dense)
    ]
    match protocol.phase:
        case "ends":
            parts = [(list(range(total)), max(1, total - 1), 1)]
        case "middle":
            parts = [([2 * n + 1 for n in range(total)], 2 * total, 0)]
        case "start":
            parts = [([n * count + view for n in range(total)], total * count, 0) for view in range(count)]
    return dense + [
        {"kind": "positions", "numerators": numerators, "denominator": denominator, "less": less}
        for numerators, denominator, less in parts
    ]


def axes_of(one: GraphInput) -> list[str | int]:
    """Return the axes of an input: numbers, and the name of the one that is free."""
    axis, name = free_number(one)
    axes: list[str | int] = [1, one.views or 1, *one.shape]
    axes[axis] = name
    return axes


def meaning_of(one: GraphInput) -> str:
    """Return what an input shows, in words."""
    match one.kind:
        case "audio":
            return f"samples of one channel, {one.clip.sound_sec} s around each segment"
        case "flow":
            return (
                f"optical flow, x then y of {one.clip.stack} neighbouring fields: level 128 + 127 v / bound_px, "
                "x to the right, y downwards, from each frame to the next"
            )
        case "diff":
            return (
                f"differences of {one.clip.stack} neighbouring frames, red, green, blue: level 128 + d / 2, "
                "the later less the earlier"
            )
        case _:
            return "frames, red, green, blue"
