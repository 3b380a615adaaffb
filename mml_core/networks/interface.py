"""What all networks over clips have in common: what they take, what they say, how a new classifier starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

#: Standard deviation of a new classifier's weights, unless a network has another (TSM).
HEAD_STD = 0.001


class ClipShape(NamedTuple):
    """What a network takes of a video.

    frames: T of a segment. channels: C of an input frame by modality (3 RGB, 10 flow in stacks of 5, …). segments: S in
    training; networks take any number of segments. sound_sec: of sound a segment, in modalities of kind audio.
    """

    frames: int
    channels: Mapping[str, int]
    segments: int = 1
    sound_sec: float = 1.28


class Prediction(NamedTuple):
    """What a network, or a part of one, says about a batch of clips.

    logits: (B, N), one score a class for the whole clip. features: (B, F), pooled over space and time, before dropout
    and classifier. maps: by name of an inner block what comes out of it, (B, …), where `VideoNetwork.kept` asks for it.
    parts: what parts that predict by themselves say, by name. choices: (B, S, M) in 0 … 1, which of M modalities a
    network that chooses has used in each segment; options: which these M are.
    """

    logits: Tensor
    features: Tensor
    maps: Mapping[str, Tensor] = {}
    parts: Mapping[str, Prediction] = {}
    choices: Tensor | None = None
    options: tuple[str, ...] = ()


class VideoNetwork(nn.Module):
    """Any network over clips.

    `forward` takes a tensor (B, S * T, C, H, W) for each of the modalities that its configuration lists, in that order,
    normalised, the S segments of T frames one after the other, and returns a `Prediction`. Of sound it takes one window
    a segment, (B, S, 1, 1, W): W samples in -1 … 1 that are `ClipShape.sound_sec` seconds, which tells their rate.
    """

    #: Layout in memory of weights and activations, for `Module.to`.
    memory_format: torch.memory_format = torch.channels_last
    #: Names of its classifiers, `nn.Linear`s, which are drawn anew for other classes.
    classifiers: ClassVar[tuple[str, ...]] = ("fc",)
    #: Names of its first convolutions, which are converted for other input channels.
    stems: ClassVar[tuple[str, ...]] = ("conv1",)
    #: Name of the last block with a place in the picture, whose maps Grad-CAM weighs; one of those that can be kept.
    cam_layer: ClassVar[str] = "layer4"
    #: Names of modules that weights from elsewhere may lack as a whole, and which then stay as they were drawn.
    additions: tuple[str, ...] = ()
    #: Inner blocks whose maps are part of the prediction; whoever needs some says so.
    kept: tuple[str, ...] = ()
    #: Whether the classifier learns from features that it has no influence on.
    detached: bool = False
    #: Modules that run, in testing, for the segments alone for which they are chosen; in the order of the choices.
    chosen: tuple[str, ...] = ()
    #: Standard deviation of the weights of a new classifier.
    head_std: float = HEAD_STD

    def classifier_input(self, features: Tensor) -> Tensor:
        """Return `features`, without their history where the classifier is to learn by itself."""
        return features.detach() if self.detached else features

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits of the classifier `fc` for `features` (…, F); see `logits_of`."""
        return logits_of(self.fc, features)

    def ask(self, part: str) -> None:
        """Compute, from now on, no more than what the scores of `part` take; all, where nothing can be left out."""

    def start_epoch(self, epoch: int) -> None:
        """Take note that `epoch` (from 0) begins, for networks in which something changes with it."""


def count_segments(clips: Tensor, frames: int, channels: int) -> int:
    """Return S of `clips`; raises ValueError where they are not (B, S * `frames`, `channels`, H, W)."""
    if clips.ndim != 5 or clips.shape[1] % frames or clips.shape[1] == 0 or clips.shape[2] != channels:
        raise ValueError(f"expected (B, S * {frames}, {channels}, H, W), got {tuple(clips.shape)}")
    return clips.shape[1] // frames


def logits_of(classifier: nn.Linear, features: Tensor) -> Tensor:
    """Return the logits of `classifier` for `features` (…, F), in the precision of its weights in any case.

    So it is in float32 in mixed precision too: scores of views are ranked and the largest of many is taken, for which
    float16 is too coarse, since from 4 on its steps are 1/256.
    """
    features = features.to(classifier.weight.dtype)
    if features.is_meta:  # where there is no autocast
        return classifier(features)
    with torch.autocast(features.device.type, enabled=False):
        return classifier(features)


def initialise_head(head: nn.Linear, std: float = HEAD_STD) -> None:
    """Draw a new classifier: weights from a normal distribution about 0 with deviation `std`, biases zero."""
    nn.init.normal_(head.weight, std=std)
    nn.init.zeros_(head.bias)
