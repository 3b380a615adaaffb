"""What a graph takes: the levels of all views of videos, once for networks that see the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mml_core.bundles.format import BundleDocument
from mml_core.clips import view_shape
from mml_core.clips.crops import evaluation_side
from mml_core.config.audio import AudioModality
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import RgbModality
from mml_core.inference.networks import Viewers


class GraphInput(NamedTuple):
    """An input of a graph: (videos, views, *shape) levels of 8 bits, or samples of sound of 16 bits.

    The number of videos is free, that of views the protocol's. Where that depends on the length of the video, a call is
    about one video, and the number of its views is free. One free number is what networks can be traced with.
    """

    name: str
    modality: str
    kind: str
    viewers: int  # number of the networks that see these clips together
    clip: ClipConfig
    shape: tuple[int, ...]  # of a view: (S * T, C, P, P), of sound (S, 1, 1, W)
    views: int | None  # None: free

    @property
    def dtype(self) -> str:
        """Type of its values."""
        return "int16" if self.kind == "audio" else "uint8"


def graph_inputs(document: BundleDocument, viewers: Sequence[Viewers]) -> list[GraphInput]:
    """Return the inputs of the graph of a bundle whose networks are those of `viewers`, in the graph's order.

    An input is called as its modality; a later one of the same modality, of clips of another form, `rgb_2`.
    """
    inputs: list[GraphInput] = []
    for number, seen in enumerate(viewers):
        for modality in seen.read:
            before = sum(one.modality == modality for one in inputs)
            name = f"{modality}_{before + 1}" if before else modality
            kind = document.video.modalities[modality].kind
            shape, views = _view_shape(document, seen, modality, kind), document.protocol.views_per_video
            inputs.append(GraphInput(name, modality, kind, number, seen.clip, shape, views))
    return inputs


def crop_side(document: BundleDocument, seen: Viewers) -> int:
    """Return the side of crops in pixels, which is the same for all videos: they are decoded to one shorter side."""
    frames = document.video.modalities[document.video.rgb]
    assert isinstance(frames, RgbModality)
    return evaluation_side(frames.short_side_px, frames.short_side_px, seen.clip.crop_px, seen.protocol.crop)


def _view_shape(document: BundleDocument, seen: Viewers, modality: str, kind: str) -> tuple[int, ...]:
    settings = document.video.modalities[modality]
    rate = settings.sample_rate_hz if isinstance(settings, AudioModality) else None
    return view_shape(kind, seen.clip, seen.protocol.segments_of(seen.clip), crop_side(document, seen), rate)
