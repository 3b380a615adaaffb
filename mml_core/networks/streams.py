"""Networks of several streams, one a modality: how the streams are built, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mml_core.config.networks.streams import StreamsNetwork
from mml_core.errors import InputError
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork
from mml_core.networks.pooled import SegmentNetwork, segment_network


class LateFusion(nn.Module):
    """Learnable weights of M streams, which add up to one: M - 1 of them, and what is left is the last one's."""

    def __init__(self, streams: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.full((streams - 1,), 1 / streams))

    def weights(self) -> Tensor:
        """Return all weights (M,), float32."""
        first = self.first.float()
        return torch.cat([first, 1 - first.sum(dim=0, keepdim=True)])

    def forward(self, logits: Tensor) -> Tensor:
        """Return the weighted sum (..., N) of `logits` (..., M, N)."""
        return (self.weights()[:, None] * logits.float()).sum(dim=-2)


class FusionClassifier(VideoNetwork):
    """Streams of which each gives scores, and the sum of these with learnable weights as the network's own.

    Scores and features of each stream are parts of the prediction, by modality; its own features are the streams' one
    after the other. Where the scores of one are asked for, the network says what that one says.

    Args:
        streams: by modality, in the order in which `forward` takes their clips.
    """

    def __init__(self, streams: Mapping[str, SegmentNetwork]) -> None:
        super().__init__()
        self.streams, self.fusion = nn.ModuleDict(streams), LateFusion(len(streams))
        self.asked = tuple(streams)
        self.classifiers = tuple(f"streams.{name}.{fc}" for name, one in streams.items() for fc in one.classifiers)
        self.stems = tuple(f"streams.{name}.{stem}" for name, one in streams.items() for stem in one.stems)
        first = next(iter(streams))
        self.cam_layer = f"streams.{first}.{streams[first].cam_layer}"

    def ask(self, part: str) -> None:
        """Give the scores of stream `part` alone."""
        self.asked = (part,)

    def forward(self, *inputs: Tensor) -> Prediction:
        """Return the prediction for frames (B, S * T, C, H, W), normalised, or sound (B, S, 1, 1, W), of each stream.

        Raises ValueError where they are not of as many videos and segments.
        """
        clips = dict(zip(self.streams, inputs, strict=True))
        require_same_segments((self.streams[name], one) for name, one in clips.items())
        parts = self.say(clips)
        logits = [one.logits.float() for one in parts.values()]
        return Prediction(
            logits=logits[0] if len(logits) == 1 else self.fusion(torch.stack(logits, dim=1)),
            features=torch.cat([one.features for one in parts.values()], dim=1),
            parts=parts,
        )

    def say(self, clips: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Return what each stream that is `asked` says, for the clips of all, as `forward` takes them."""
        raise NotImplementedError

    def say_of(self, name: str, features: Tensor) -> Prediction:
        """Return what the classifier of a stream says of its `features` (B, S, F)."""
        logits = self.streams[name].say(self.classifier_input(features))
        return Prediction(logits, features.mean(dim=1))


def require_same_segments(taken: Iterable[tuple[SegmentNetwork, Tensor]]) -> None:
    """Raise ValueError where clips are not of as many videos and segments for the networks that take them."""
    counts = sorted({(len(clips), network.segments_of(clips)) for network, clips in taken})
    if len(counts) > 1:
        raise ValueError(f"expected as many videos and segments of all inputs, got {counts}")


def build_streams(config: StreamsNetwork, shape: ClipShape, *, classes: int | None) -> dict[str, SegmentNetwork]:
    """Return the streams by modality, with random weights from torch's global generator.

    `classes` is N; without it they have no classifiers. Raises InputError for a modality whose name cannot be that of a
    part.
    """
    for name in config.streams:
        if hasattr(nn.ModuleDict, name):
            raise InputError(f"streams: {name!r} cannot be the name of a part", hint="give the modality another name")
    return {
        name: segment_network(
            config.stream_backbone(name), shape, name, frames=shape.frames, classes=classes, dropout=config.dropout
        )
        for name in config.streams
    }
