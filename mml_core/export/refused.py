"""What cannot be a graph, known before anything is loaded."""

from __future__ import annotations

from mml_core.bundles.format import BundleDocument
from mml_core.config.networks.adamml import AdaMmlNetwork
from mml_core.config.networks.mvit import MvitNetwork


def why_refused(document: BundleDocument, *, onnx: bool) -> str | None:
    """Return why the networks of a bundle cannot be a graph, or None: a function of its configuration alone.

    onnx: whether it is to be one of ONNX.
    """
    for name, network in document.networks.items():
        if onnx and isinstance(network.config, MvitNetwork):
            return (
                f"{name} is an mvit_v2_s, with which torch's exporter to ONNX does not come to an end (torch 2.15, "
                "tried for minutes); --format torch writes the other kind of graph"
            )
        if isinstance(network.config, AdaMmlNetwork) and network.config.samples:
            return (
                f"{name} draws its choices (samples: true), by a generator that starts from the bits of each video, "
                "and a graph has none"
            )
    return None
