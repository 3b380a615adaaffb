"""Clip classifiers on image backbones: TSM (temporal shift) and TSN (none), consensus by the mean over frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import ResNet

from mml_core.networks.backbones import TinyResNet, first_convolution
from mml_core.networks.interface import HEAD_STD, Prediction, VideoNetwork, count_segments, initialise_head
from mml_core.networks.shift import ShiftedConv2d

#: From so many blocks in the third stage on (ResNet-101), only every second block shifts, as TSM's authors do.
BLOCKS_OF_SPARSE_SHIFT = 23


class ClipClassifier(VideoNetwork):
    """An image ResNet applied to each frame, the mean of all frames' logits as the clip's.

    Its modules and parameters carry the names of torchvision's ResNet (`conv1.weight`, `layer1.0.conv1.weight`, …,
    `fc.bias`), with and without temporal shift, so that torchvision's state dicts are its own.

    Args:
        backbone: taken apart, not copied.
        frames: T, frames of a segment; no parameter depends on it.
        channels: C of an input frame (3 RGB, 10 flow, 15 differences).
        classes: N.
        dropout: probability, on each frame's features before the classifier.
        head_std: standard deviation of the classifier's first weights.
        shift: whether the residual blocks look at neighbouring frames (TSM) or not (TSN).
    """

    #: Layout in memory of weights and activations, for `Module.to`. Channels last makes training 1.1 to 1.3 times and
    #: inference 1.2 to 3 times as fast on a CPU (measured with resnet_tiny), and is that of a GPU's tensor cores.
    memory_format = torch.channels_last

    def __init__(
        self,
        backbone: ResNet | TinyResNet,
        *,
        frames: int,
        channels: int,
        classes: int,
        dropout: float,
        shift: bool,
        head_std: float = HEAD_STD,
    ) -> None:
        super().__init__()
        self.head_std = head_std
        self.frames, self.channels = frames, channels
        self.conv1 = first_convolution(backbone.conv1, channels)
        self.bn1, self.relu, self.maxpool = backbone.bn1, backbone.relu, backbone.maxpool
        self.layer1, self.layer2 = backbone.layer1, backbone.layer2
        self.layer3, self.layer4 = backbone.layer3, backbone.layer4
        self.avgpool = backbone.avgpool
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(backbone.fc.in_features, classes)
        initialise_head(self.fc, head_std)
        if shift:
            self._shift_blocks()

    def _shift_blocks(self) -> None:
        """Shift before the first convolution of the residual branch; the shortcut stays unshifted (TSM `blockres`)."""
        step = 2 if len(self.layer3) >= BLOCKS_OF_SPARSE_SHIFT else 1
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in list(layer)[::step]:
                block.conv1 = ShiftedConv2d(block.conv1, self.frames)

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised, of any height and width."""
        images = clips.shape[1]
        count_segments(clips, self.frames, self.channels)
        x = clips.flatten(0, 1).contiguous(memory_format=self.memory_format)  # (B * S * T, C, H, W)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = {}
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = getattr(self, name)(x)
            if name in self.kept:
                maps[name] = x.unflatten(0, (-1, images))  # (B, S * T, C', H', W')
        features = self.avgpool(x).flatten(1).unflatten(0, (-1, images))  # (B, S * T, F)
        # The classifier is affine, so the mean of the frames' logits is the logits of the frames' mean.
        logits = self.classify(self.dropout(self.classifier_input(features)).mean(dim=1))
        return Prediction(logits, features.mean(dim=1), maps)
