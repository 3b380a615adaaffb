"""The model card of a bundle (Mitchell et al., Model Cards for Model Reporting, 2019), from what its document says.

The headings are those that the field uses; the front matter is that of Hugging Face's hub.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mml_core.bundles.format import BundleDocument, Metric
from mml_core.evaluation.table import describe_protocol

_METRICS = {
    "top1": "Top-1 accuracy",
    "top5": "Top-5 accuracy",
    "mean_class_accuracy": "Mean class accuracy",
    "mean_average_precision": "Mean average precision",
}
#: Classes that the card lists.
_MOST_CLASSES = 50


def model_card(document: BundleDocument) -> str:
    """Return the card as Markdown."""
    parts = [
        _front_matter(document),
        f"# {_cell(document.name)}",
        _description(document),
        "## Intended use",
        _use(document),
        "## How to use",
        _how(),
        "## Training data",
        _data(document),
        "## Evaluation",
        _evaluation(document),
        "## Calibration",
        _calibration(document),
        "## Limits",
        _limits(document),
        "## Provenance",
        _provenance(document),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(document: BundleDocument) -> str:
    lines = ["library_name: mml-core", "pipeline_tag: video-classification", "tags:", "- video-classification"]
    lines += [f"- {one}" for one in sorted({network.config.architecture for network in document.networks.values()})]
    return "\n".join(["---", *lines, f"datasets:\n- {json.dumps(document.data.name)}", "---"])


def _description(document: BundleDocument) -> str:
    kind = "An ensemble of networks" if len(document.members) > 1 else "A network"
    several = "several or none of which a video may show" if document.multi_label else "one of which a video shows"
    lines = [f"{kind} for video classification: {len(document.classes)} classes, {several}.", ""]
    lines += ["| member | architecture | reads | weight |", "|---|---|---|---|"]
    for member in document.members:
        config = document.networks[member.network].config
        kind = " ".join(filter(None, (config.architecture, config.size)))
        read = ", ".join(config.read_for(member.part))
        lines.append(f"| {member.reference} | {kind} | {read} | {member.weight:g} |")
    if len(document.members) > 1:
        said = "logits" if document.fusion == "logits" else "probabilities"
        lines += ["", f"What it says is the weighted mean of its members' {said}."]
    return "\n".join(lines)


def _use(document: BundleDocument) -> str:
    nothing = "or gives all a small probability" if document.multi_label else "also where none is right"
    return (
        f"It tells which of its classes a video like those of data set {document.data.name!r} shows. Whoever trained "
        "it has not said more about what it is for. It knows no other classes: whatever it is shown, it names one of "
        f"these, {nothing}. It has not been examined for uses in which a wrong answer harms somebody."
    )


def _how() -> str:
    return "\n".join(
        [
            "With mml-core installed; nothing else of the project is needed:",
            "",
            "```",
            "mml predict THIS_FOLDER video.mp4",
            "```",
            "",
            "```python",
            "import mml_core",
            "",
            'model = mml_core.load("THIS_FOLDER")',
            'found = model.predict("video.mp4")',
            "print(found.label, found.probability)",
            "```",
        ]
    )


def _data(document: BundleDocument) -> str:
    facts = document.data
    videos = ", ".join(f"{count:,} {split}" for split, count in facts.videos.items())
    length = f"; the training videos' median length is {facts.median_sec:g} s" if facts.median_sec else ""
    lines = [f"Data set {facts.name!r}, videos: {videos}{length}.", "", "| class | training videos |", "|---|---|"]
    shown = document.classes[:_MOST_CLASSES]
    lines += [f"| {_cell(name)} | {facts.training_labels.get(name, 0):,} |" for name in shown]
    if left := len(document.classes) - len(shown):
        lines += ["", f"… and {left} more, in bundle.json."]
    return "\n".join(lines)


def _evaluation(document: BundleDocument) -> str:
    where = document.provenance
    crops_px = [network.clip.crop_px for network in document.networks.values()]
    quarantined = f" ({where.quarantined} more could not be used)" if where.quarantined else ""
    views = describe_protocol(document.protocol, crops_px)
    lines = [
        f"On {where.videos:,} videos{quarantined} of split {where.split!r}, each by {views}. "
        "Intervals are of 95 %, over videos, of this one training: other seeds give other networks.",
        "",
        "| metric | value | interval |",
        "|---|---|---|",
    ]
    lines += [f"| {_METRICS.get(name, _cell(name))} | {_value(one)} |" for name, one in document.metrics.items()]
    if where.split != "test":
        lines += ["", f"Split {where.split!r} may have taken part in choosing the model, which flatters it."]
    return "\n".join(lines)


def _value(metric: Metric) -> str:
    value = f"{100 * metric.value:.2f} % | "
    if metric.low is None or metric.high is None:
        return value
    return f"{value}{100 * metric.low:.2f} to {100 * metric.high:.2f} %"


def _calibration(document: BundleDocument) -> str:
    return " ".join(_calibration_sentences(document))


def _calibration_sentences(document: BundleDocument) -> Iterator[str]:
    told = document.calibration
    split = document.provenance.split
    if told.fitted_on is None:
        yield f"No temperature was fitted, since {told.reason or 'nothing was there to fit it on'}: it is 1."
        yield "Probabilities are what the networks say, which is often too sure."
        if told.error_before is not None:
            yield f"Expected calibration error (15 bins) on split {split!r}: {100 * told.error_before:.2f} %."
        return
    yield f"Temperature {told.temperature:.4g}, fitted on {told.videos:,} videos of split {told.fitted_on!r}"
    yield "(one number, by the likelihood of their labels; it changes no order of classes)."
    if told.error_before is not None and told.error_after is not None:
        yield (
            f"Expected calibration error (15 bins) on split {split!r}: {100 * told.error_before:.2f} % before, "
            f"{100 * told.error_after:.2f} % after"
        )
        yield (
            "by temperatures that were each fitted on four fifths of these videos and tried on the rest."
            if told.cross_fitted
            else "with this temperature."
        )


def _limits(document: BundleDocument) -> str:
    median = document.data.median_sec
    length = f"about {median:g} s" if median else "the training videos' length"
    read = sorted({name for network in document.networks for name in document.read_of(network)})
    kinds = ", ".join(f"{name} ({document.video.modalities[name].kind})" for name in read)
    return "\n".join(
        [
            f"- It has seen videos of {length}, cut to what they show; much longer ones are taken in windows.",
            f"- It reads {kinds}, made of the video file as in training.",
            "- Videos of another camera, place or manner than those of the data set are likely to be told worse than "
            "the figures above say, and with too much confidence.",
        ]
    )


def _provenance(document: BundleDocument) -> str:
    told = document.provenance
    lines = [
        f"Recipe `{told.recipe}`, table `{told.table}`, run {told.run}; made by mml-core {told.program}.",
        "",
        "| stage | SHA-256 of its weights |",
        "|---|---|",
    ]
    lines += [f"| {key} | `{digest}` |" for key, digest in told.stages.items()]
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
