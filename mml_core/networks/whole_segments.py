"""Networks that take a segment as a whole, with its time axis, and classify one vector of features of each."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork, count_segments, initialise_head


class SegmentClassifier(VideoNetwork):
    """A network over each segment by itself, the mean of the segments' logits as the clip's.

    Args:
        frames: T, frames of a segment.
        channels: C of an input frame (3 RGB, 2 flow).
        classes: N.
        size: F, features of a segment.
        dropout: probability, on the features before the classifier.
    """

    #: Layout in memory of weights and activations, for `Module.to`.
    memory_format = torch.channels_last_3d

    def __init__(self, *, frames: int, channels: int, classes: int, size: int, dropout: float) -> None:
        super().__init__()
        self.frames, self.channels = frames, channels
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(size, classes)
        initialise_head(self.fc)

    def look(self, x: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the features (B * S, F) of `x` (B * S, C, T, H, W), and by name the maps that are to be kept.

        Maps are (B * S, C', T', H', W').
        """
        raise NotImplementedError

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised, of any height and width."""
        segments = count_segments(clips, self.frames, self.channels)
        x = clips.unflatten(1, (segments, self.frames)).flatten(0, 1)
        features, maps = self.look(x.transpose(1, 2).contiguous(memory_format=self.memory_format))
        features = features.unflatten(0, (-1, segments))  # (B, S, F)
        # The classifier is affine, so the mean of the segments' logits is the logits of the segments' mean.
        logits = self.classify(self.dropout(self.classifier_input(features)).mean(dim=1))
        by_clip = {name: one.unflatten(0, (-1, segments)) for name, one in maps.items()}
        return Prediction(logits, features.mean(dim=1), by_clip)


def classifier_settings(shape: ClipShape, modality: str, *, classes: int, dropout: float) -> dict[str, int | float]:
    """Return what all these networks are built with but for their size."""
    return {"frames": shape.frames, "channels": shape.channels[modality], "classes": classes, "dropout": dropout}


def over_channels(convolution: nn.Conv3d, channels: int) -> nn.Conv3d:
    """Return `convolution`, or one of its form over `channels` channels, drawn anew as torch does."""
    if convolution.in_channels == channels:
        return convolution
    return nn.Conv3d(
        channels,
        convolution.out_channels,
        kernel_size=convolution.kernel_size,
        stride=convolution.stride,
        padding=convolution.padding,
        bias=convolution.bias is not None,
    )
