"""The page for people beside an exported model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mml_core.bundles.format import BundleDocument
from mml_core.export.describe import PREPROCESSING, axes_of, meaning_of
from mml_core.export.formats import ONNX_FILE, output_names
from mml_core.export.inputs import GraphInput
from mml_core.export.runner import EXAMPLE, RUNNER, why_arrays
from mml_core.export.verify import Differences

CARD = "README.md"


def card(
    document: BundleDocument,
    inputs: Sequence[GraphInput],
    found: Mapping[str, Differences],
    videos: int,
    example: Sequence[tuple[str, float]],
) -> str:
    """Return the page.

    found: differences by name of the file. videos: how many they were measured on; 0: on random levels. example: the
    likeliest classes of `example.npz`.
    """
    lines = [
        f"# {_line(document.name)}, as a graph",
        "",
        f"{len(document.classes)} classes. Made by `mml export`; `{PREPROCESSING}` says the same for programs.",
        *_inputs(inputs),
        *_outputs(document),
        *_checks(found, videos),
        "",
        *_example(document, inputs, found, example),
    ]
    return "\n".join(lines) + "\n"


def _inputs(inputs: Sequence[GraphInput]) -> Iterator[str]:
    yield from ("", "## Inputs", "", "| name | type | shape | what |", "|---|---|---|---|")
    for one in inputs:
        yield f"| `{one.name}` | {one.dtype} | {_shape(one)} | {meaning_of(one)} |"
    yield ""
    yield (
        f"{_free(inputs)} Values are levels as pictures have them, 0 to 255: the graph normalises them. Views of a "
        f"video are its clips, each in its crops, as `{PREPROCESSING}` lists them."
    )


def _outputs(document: BundleDocument) -> Iterator[str]:
    *logits, probabilities = output_names([member.reference for member in document.members])
    yield from ("", "## Outputs", "")
    for name in logits:
        yield f"- `{name}` (videos, views, {len(document.classes)}), float32"
    yield (
        f"- `{probabilities}` (videos, {len(document.classes)}), float32, at temperature "
        f"{document.calibration.temperature:.4g}: of the {document.protocol.views} over views, {document.fusion} fused"
    )
    if masked := [name for name, one in document.networks.items() if one.config.architecture == "adamml"]:
        yield from ("", f"{', '.join(masked)}: all streams run in all segments and are masked; nothing is saved.")


def _checks(found: Mapping[str, Differences], videos: int) -> Iterator[str]:
    measured = f"clips of {videos} video(s)" if videos else "random levels: no video was named"
    yield from ("", "## Checked", "", f"Largest absolute differences from the original, on {measured}:", "")
    for name, one in found.items():
        yield (
            f"- `{name}`: logits {one.logits:.2g} (the largest logit is {one.largest_logit:.2g}), "
            f"probabilities {one.probabilities:.2g}"
        )


def _example(
    document: BundleDocument,
    inputs: Sequence[GraphInput],
    found: Mapping[str, Differences],
    example: Sequence[tuple[str, float]],
) -> Iterator[str]:
    best = ", ".join(f"{_line(label)} {probability:.4f}" for label, probability in example)
    yield f"`{EXAMPLE}` has the clips of the first, and the probabilities: {best}."
    if ONNX_FILE in found:
        reason = why_arrays(document, inputs)
        what = "videos" if reason is None else f"arrays like `{EXAMPLE}` ({reason})"
        yield f"`{RUNNER}` runs `{ONNX_FILE}` on {what}."


def _line(text: str) -> str:
    """Return `text` in one line, as literal text of Markdown."""
    return re.sub(r"([\\`*_\[\]|<>])", r"\\\1", " ".join(text.split()))


def _shape(one: GraphInput) -> str:
    return f"({', '.join(map(str, axes_of(one)))})"


def _free(inputs: Sequence[GraphInput]) -> str:
    """Return which number is free, in words."""
    if inputs[0].views is None:
        return "A call is about one video, with any number of views."
    return f"A call is about any number of videos, with {inputs[0].views} view(s) each."
