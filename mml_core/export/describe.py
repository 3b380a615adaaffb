"""What is beside an exported model: how videos become its inputs, for programs (JSON) and for people (Markdown)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mml_core.bundles.format import BundleDocument
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import RgbModality
from mml_core.config.protocols import ProtocolConfig
from mml_core.export.formats import free_number, output_names
from mml_core.export.inputs import GraphInput
from mml_core.export.runner import EXAMPLE, RUNNER, why_arrays
from mml_core.export.verify import Differences
from mml_core.kinds import kind_of

PREPROCESSING, CARD = "preprocessing.json", "README.md"


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
        "dtype": one.dtype,
        "shape": _axes(one),
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


def card(
    document: BundleDocument,
    inputs: Sequence[GraphInput],
    found: Mapping[str, Differences],
    videos: int,
    example: Sequence[tuple[str, float]],
) -> str:
    """Return the page for people.

    found: differences by name of the file. videos: how many they were measured on; 0: on random levels. example: the
    likeliest classes of `example.npz`.
    """
    rows = [f"| `{one.name}` | {one.dtype} | {_shape(one)} | {_meaning(one)} |" for one in inputs]
    outputs = output_names([member.reference for member in document.members])
    measured = f"clips of {videos} video(s)" if videos else "random levels: no video was named"
    checks = [
        f"- `{name}`: logits {one.logits:.2g} (the largest logit is {one.largest_logit:.2g}), "
        f"probabilities {one.probabilities:.2g}"
        for name, one in found.items()
    ]
    arrays = why_arrays(document, inputs)
    script = (
        "runs `model.onnx` on videos" if arrays is None else f"runs `model.onnx` on arrays like `{EXAMPLE}` ({arrays})"
    )
    best = ", ".join(f"{label} {probability:.4f}" for label, probability in example)
    masked = [name for name, one in document.networks.items() if one.config.architecture == "adamml"]
    lines = [
        f"# {document.name}, as a graph",
        "",
        f"{len(document.classes)} classes. Made by `mml export`; `{PREPROCESSING}` says the same for programs.",
        "",
        "## Inputs",
        "",
        "| name | type | shape | what |",
        "|---|---|---|---|",
        *rows,
        "",
        f"{_free(inputs)} Values are levels as pictures have them, 0 to 255: the graph normalises them. Views of "
        f"a video are its clips, each in its crops, as `{PREPROCESSING}` lists them.",
        "",
        "## Outputs",
        "",
        *(f"- `{name}` (videos, views, {len(document.classes)}), float32" for name in outputs[:-1]),
        f"- `{outputs[-1]}` (videos, {len(document.classes)}), float32, at temperature "
        f"{document.calibration.temperature:.4g}: of the {document.protocol.views} over views, {document.fusion} fused",
        "",
        "## Checked",
        "",
        f"Largest absolute differences from the original, on {measured}:",
        "",
        *checks,
        "",
        f"`{EXAMPLE}` has the clips of the first, and the probabilities: {best}. `{RUNNER}` {script}.",
        *(
            ["", f"{', '.join(masked)}: all streams are computed in all segments and masked; nothing is saved."]
            * bool(masked)
        ),
    ]
    return "\n".join(lines) + "\n"


def _axes(one: GraphInput) -> list[str | int]:
    axis, name = free_number(one)
    axes: list[str | int] = [1, one.views or 1, *one.shape]
    axes[axis] = name
    return axes


def _shape(one: GraphInput) -> str:
    return f"({', '.join(map(str, _axes(one)))})"


def _free(inputs: Sequence[GraphInput]) -> str:
    """Return which number is free, in words."""
    if inputs[0].views is None:
        return "A call is about one video, with any number of views."
    return f"A call is about any number of videos, with {inputs[0].views} view(s) each."


def _meaning(one: GraphInput) -> str:
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
