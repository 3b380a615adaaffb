"""What cannot be a graph, known before anything is loaded."""

from __future__ import annotations

from mml_core.bundles.format import BundleDocument
from mml_core.config.networks.adamml import AdaMmlNetwork


def why_refused(document: BundleDocument) -> str | None:
    """Return why the networks of a bundle cannot be a graph, or None: a function of its configuration alone."""
    for name, network in document.networks.items():
        if isinstance(network.config, AdaMmlNetwork) and network.config.samples:
            return (
                f"{name} draws its choices (samples: true), by a generator that starts from the bits of each video, "
                "and a graph has none"
            )
    return None
