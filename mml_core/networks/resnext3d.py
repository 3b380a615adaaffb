"""3-D ResNeXt, the network of MARS and MERS (Hara, Kataoka, Satoh 2018; Crasto et al. 2019).

Layers, widths and names of parameters are those of the first version of kenshohara/3D-ResNets-PyTorch, which
craston/MARS trains, so that the published weights fit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mml_core.config.networks.resnext3d import ResNext3dNetwork
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork, count_segments, initialise_head

EXPANSION = 2
#: A block of P planes has P / 32 channels in each of its groups.
PLANES_OF_A_CHANNEL = 32


class Plan(NamedTuple):
    """Sizes of a network: channels of the stem, planes of the first stage (twice as many in each later one), blocks."""

    stem: int
    planes: int
    blocks: tuple[int, int, int, int]


PLANS = {"tiny": Plan(16, 32, (1, 1, 1, 1)), 50: Plan(64, 128, (3, 4, 6, 3)), 101: Plan(64, 128, (3, 4, 23, 3))}


class Bottleneck(nn.Module):
    """1 x 1 x 1, grouped 3 x 3 x 3 and 1 x 1 x 1 convolutions; a shortcut of type B (projected if sizes change)."""

    def __init__(self, channels: int, planes: int, cardinality: int, stride: int) -> None:
        super().__init__()
        width, out = cardinality * (planes // PLANES_OF_A_CHANNEL), planes * EXPANSION
        self.conv1 = nn.Conv3d(channels, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, kernel_size=3, stride=stride, padding=1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, out, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm3d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            projection = nn.Conv3d(channels, out, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm3d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2 * planes, T', H', W') for `x` (B, C, T, H, W)."""
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        residual += x if self.downsample is None else self.downsample(x)
        return self.relu(residual)


class ResNext3d(VideoNetwork):
    """A 3-D ResNeXt over each segment by itself, the mean of the segments' logits as the clip's.

    The stem keeps the number of frames and halves the images; the pool behind it, and each stage but the first, halve
    both. What remains is averaged, whatever its size: for the sizes of the published networks (16 or 64 frames of 112 x
    112) that is their fixed window. Blocks whose maps can be kept: layer1 … layer4, (B, S, C, T', H', W').

    Args:
        plan: sizes.
        cardinality: groups of the convolutions in the blocks.
        frames: T, frames of a segment; no parameter depends on it.
        channels: C of an input frame (3 RGB, 2 flow).
        classes: N.
    """

    #: Layout in memory of weights and activations, for `Module.to`.
    memory_format = torch.channels_last_3d

    def __init__(self, plan: Plan, *, cardinality: int, frames: int, channels: int, classes: int) -> None:
        super().__init__()
        self.frames, self.channels = frames, channels
        self.conv1 = nn.Conv3d(channels, plan.stem, kernel_size=7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(plan.stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(kernel_size=3, stride=2, padding=1)
        width = plan.stem
        for number, blocks in enumerate(plan.blocks, start=1):
            planes = plan.planes * 2 ** (number - 1)
            layer = [
                Bottleneck(width if block == 0 else planes * EXPANSION, planes, cardinality, _stride(number, block))
                for block in range(blocks)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*layer))
            width = planes * EXPANSION
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        initialise_head(self.fc)

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised, of any height and width."""
        segments = count_segments(clips, self.frames, self.channels)
        x = clips.unflatten(1, (segments, self.frames)).flatten(0, 1)
        x = x.transpose(1, 2).contiguous(memory_format=self.memory_format)  # (B * S, C, T, H, W)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = {}
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
            if name in self.kept:
                maps[name] = x.unflatten(0, (-1, segments))
        features = self.avgpool(x).flatten(1).unflatten(0, (-1, segments)).mean(dim=1)  # (B, F)
        # The classifier is affine, so the mean of the segments' logits is the logits of their mean.
        return Prediction(self.classify(self.classifier_input(features)), features, maps)


def _stride(number: int, block: int) -> int:
    """Return the stride of a `block` of stage `number`: the first of each stage but the first one halves."""
    return 2 if number > 1 and block == 0 else 1


def build(config: ResNext3dNetwork, shape: ClipShape, *, classes: int) -> ResNext3d:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    return ResNext3d(
        PLANS[config.depth],
        cardinality=config.cardinality,
        frames=shape.frames,
        channels=shape.channels[config.modality],
        classes=classes,
    )
