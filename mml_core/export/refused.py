"""What cannot be a graph, known before anything is loaded."""

from __future__ import annotations

from typing import Literal

from mml_core.bundles.format import BundleDocument
from mml_core.config.networks.adamml import AdaMmlNetwork

Form = Literal["torch", "onnx"]


def why_refused(document: BundleDocument) -> str | None:
    """Return why the networks of a bundle cannot be a graph, or None: a function of its configuration alone."""
    for name, network in document.networks.items():
        if isinstance(network.config, AdaMmlNetwork) and network.config.samples:
            return (
                f"{name} draws its choices (samples: true), with numbers that are a function of the bits of each video; "
                "a graph has no such generator"
            )
    return None
