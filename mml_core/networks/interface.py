"""What all networks over clips have in common: the form of their input, what they say, how a new classifier starts."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

HEAD_STD = 0.001


class Prediction(NamedTuple):
    """What a network says about a batch of clips.

    logits: (B, N), one score a class for the whole clip. features: (B, F), pooled over space and time, before dropout
    and classifier.
    """

    logits: Tensor
    features: Tensor


def require_clips(clips: Tensor, frames: int, channels: int) -> None:
    """Raise ValueError where `clips` are not (B, `frames`, `channels`, H, W)."""
    if clips.ndim != 5 or clips.shape[1:3] != (frames, channels):
        raise ValueError(f"expected (B, {frames}, {channels}, H, W), got {tuple(clips.shape)}")


def initialise_head(head: nn.Linear) -> None:
    """Draw a new classifier as TSM does: weights from N(0, 0.001), biases zero."""
    nn.init.normal_(head.weight, std=HEAD_STD)
    nn.init.zeros_(head.bias)
