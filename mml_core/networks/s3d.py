"""S3D and S3D-G, the networks of D3D (Xie et al. 2018; Stroud et al. 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.video import s3d
from torchvision.models.video.s3d import TemporalSeparableConv

from mml_core.config.networks.s3d import S3dNetwork
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork, count_segments, initialise_head

FEATURES = 1024
#: Frames that the last pooling averages before all of its windows are averaged.
POOLED_FRAMES = 2


class Gate(nn.Module):
    """Self-gating: each channel is scaled by what the clip as a whole looks like (Xie et al. 2018, section 4.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return sigmoid(W mean(x) + b) * x, of the form of `x` (B, C, T, H, W)."""
        return torch.sigmoid(self.fc(x.mean(dim=(2, 3, 4))))[:, :, None, None, None] * x


class S3d(VideoNetwork):
    """torchvision's S3D over each segment by itself, the mean of the segments' logits as the clip's.

    Its convolutions are torchvision's under torchvision's names, `features.0` … `features.15`; its classifier, there a
    1 x 1 x 1 convolution, is the linear layer `fc`. S3D-G has a gate behind each temporal convolution, as the paper
    says: `features.0.gate`, `features.5.branch1.1.gate` and so on. (The authors' code in TensorFlow gates all four
    branches of a block instead, and not the stem.)

    Clips may have any number of frames and any size: where a size is odd, the last pooling keeps its last row rather
    than dropping it. For sizes that torchvision's takes without dropping any (224 x 224, multiples of 16 frames),
    predictions are torchvision's. Blocks whose maps can be kept: `features.0` … `features.15`, (B, S, C, T', H', W');
    in the paper's terms 5 and 6 are Mixed 3b and 3c, 8 to 12 are 4b to 4f, 14 and 15 are 5b and 5c.

    Args:
        frames: T, frames of a segment; no parameter depends on it.
        channels: C of an input frame (3 RGB, 2 flow).
        classes: N.
        dropout: probability, on the pooled features before the classifier.
        gated: whether it is S3D-G.
    """

    #: Layout in memory of weights and activations, for `Module.to`.
    memory_format = torch.channels_last_3d
    stems = ("features.0.0.0",)
    cam_layer = "features.15"

    def __init__(self, *, frames: int, channels: int, classes: int, dropout: float, gated: bool) -> None:
        super().__init__()
        self.frames, self.channels = frames, channels
        self.features = s3d(weights=None).features
        self.features[13].ceil_mode = True
        if channels != self.features[0][0][0].in_channels:
            self.features[0][0][0] = nn.Conv3d(
                channels, 64, kernel_size=(1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False
            )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(FEATURES, classes)
        initialise_head(self.fc)
        if gated:
            self.additions = tuple(self._add_gates())

    def _add_gates(self) -> list[str]:
        """Put a gate behind each temporal convolution, and return their names."""
        separable = [(name, one) for name, one in self.named_modules() if isinstance(one, TemporalSeparableConv)]
        for _, module in separable:
            module.add_module("gate", Gate(module[1][0].out_channels))
        return [f"{name}.gate" for name, _ in separable]

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised, of any height and width."""
        segments = count_segments(clips, self.frames, self.channels)
        x = clips.unflatten(1, (segments, self.frames)).flatten(0, 1)
        x = x.transpose(1, 2).contiguous(memory_format=self.memory_format)  # (B * S, C, T, H, W)
        maps = {}
        for position, block in enumerate(self.features):
            x = block(x)
            if f"features.{position}" in self.kept:
                maps[f"features.{position}"] = x.unflatten(0, (-1, segments))
        x = F.avg_pool3d(x, (min(POOLED_FRAMES, x.shape[2]), *x.shape[3:]), stride=1)
        features = x.flatten(2).transpose(1, 2).unflatten(0, (-1, segments)).flatten(1, 2)  # (B, S * windows, F)
        # The classifier is affine, so the mean of the windows' logits is the logits of the windows' mean.
        logits = self.classify(self.dropout(self.classifier_input(features)).mean(dim=1))
        return Prediction(logits, features.mean(dim=1), maps)


def build(config: S3dNetwork, shape: ClipShape, *, classes: int) -> S3d:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    return S3d(
        frames=shape.frames,
        channels=shape.channels[config.modality],
        classes=classes,
        dropout=config.dropout,
        gated=config.architecture == "s3dg",
    )
