"""P3D ResNet: 3 x 3 x 3 convolutions as pairs of one over space and one over time (Qiu, Yao, Mei 2017).

Layers, widths and names of parameters are those of qijiezhao/pseudo-3d-pytorch, so that its published weights fit.
"""

from __future__ import annotations

import itertools
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mml_core.config.networks.p3d import P3dNetwork
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork, count_segments, initialise_head

EXPANSION = 4
LAYERS = ("layer1", "layer2", "layer3", "layer4")
#: How a unit's two convolutions are connected (Figure 3), S over space and T over time: T(S(x)), S(x) + T(x),
#: S(x) + T(S(x)); or S(x) alone, in the last stage.
Form = Literal["A", "B", "C", "space"]


class Plan(NamedTuple):
    """Sizes of a network: channels of the stem, planes of the first stage (twice as many in each later one), units."""

    stem: int
    planes: int
    units: tuple[int, int, int, int]


PLANS = {
    "tiny": Plan(16, 16, (1, 1, 1, 1)),
    50: Plan(64, 64, (3, 4, 6, 3)),
    101: Plan(64, 64, (3, 4, 23, 3)),
    152: Plan(64, 64, (3, 8, 36, 3)),
}


class Unit(nn.Module):
    """A bottleneck: 1 x 1 x 1, a pair of 1 x 3 x 3 and 3 x 1 x 1, 1 x 1 x 1; the first one has the `stride` over space.

    The shortcut is of type B (projected if sizes change). A convolution over space alone is named `conv_normal`.
    """

    def __init__(self, channels: int, planes: int, form: Form, stride: int) -> None:
        super().__init__()
        self.form, out = form, planes * EXPANSION
        self.conv1, self.bn1 = _convolution(channels, planes, (1, 1, 1), stride), nn.BatchNorm3d(planes)
        if form == "space":
            self.conv_normal, self.bn_normal = _convolution(planes, planes, (1, 3, 3)), nn.BatchNorm3d(planes)
        else:
            self.conv2, self.bn2 = _convolution(planes, planes, (1, 3, 3)), nn.BatchNorm3d(planes)
            self.conv3, self.bn3 = _convolution(planes, planes, (3, 1, 1)), nn.BatchNorm3d(planes)
        self.conv4, self.bn4 = _convolution(planes, out, (1, 1, 1)), nn.BatchNorm3d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(_convolution(channels, out, (1, 1, 1), stride), nn.BatchNorm3d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 4 * planes, T, H', W') for `x` (B, C, T, H, W)."""
        residual = self.bn4(self.conv4(self._pair(self.relu(self.bn1(self.conv1(x))))))
        residual += x if self.downsample is None else self.downsample(x)
        return self.relu(residual)

    def _pair(self, x: Tensor) -> Tensor:
        """Return what the convolutions over space and time make of `x`, of the same form."""
        match self.form:
            case "A":
                return self._over_time(self._over_space(x))
            case "B":
                return self._over_space(x) + self._over_time(x)
            case "C":
                x = self._over_space(x)
                return x + self._over_time(x)
            case "space":
                return self.relu(self.bn_normal(self.conv_normal(x)))

    def _over_space(self, x: Tensor) -> Tensor:
        return self.relu(self.bn2(self.conv2(x)))

    def _over_time(self, x: Tensor) -> Tensor:
        return self.relu(self.bn3(self.conv3(x)))


def _convolution(channels: int, out: int, kernel: tuple[int, int, int], stride: int = 1) -> nn.Conv3d:
    """Return a convolution that keeps the number of frames, and the size of images but for `stride`."""
    padding = tuple(size // 2 for size in kernel)
    return nn.Conv3d(channels, out, kernel, stride=(1, stride, stride), padding=padding, bias=False)


class Stage(nn.Sequential):
    """Residual units over half of the frames, the maximum of each two; an odd one at the end stays by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C', T', H', W') for `x` (B, C, T, H, W), where T' is T / 2, rounded up."""
        return super().forward(F.max_pool3d(x, (2, 1, 1), ceil_mode=True))


class P3d(VideoNetwork):
    """A P3D ResNet over each segment by itself, the mean of the segments' logits as the clip's.

    The stem sees each frame by itself and, with its pool, has a quarter of the image's sides. Each stage halves the
    frames, each but the first halves the images too. Units have the forms A, B and C in turn, counted through the
    network; those of the last stage see frames by themselves. What remains is averaged, whatever its size: for the size
    of the published networks (16 frames of 160 x 160, of which 1 x 5 x 5 places remain) that is their fixed window.
    The port's last stage has convolutions and normalisation over images; here they are over clips, with kernels of one
    frame. Blocks whose maps can be kept: layer1 … layer4, (B, S, C, T', H', W').

    Args:
        plan: sizes.
        frames: T, frames of a segment; no parameter depends on it.
        channels: C of an input frame (3 RGB, 2 flow).
        classes: N.
        dropout: probability, on the pooled features before the classifier.
    """

    #: Layout in memory of weights and activations, for `Module.to`.
    memory_format = torch.channels_last_3d
    stems = ("conv1_custom",)

    def __init__(self, plan: Plan, *, frames: int, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.frames, self.channels = frames, channels
        self.conv1_custom = _convolution(channels, plan.stem, (1, 7, 7), stride=2)
        self.bn1 = nn.BatchNorm3d(plan.stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        forms: itertools.cycle[Form] = itertools.cycle(("A", "B", "C"))
        width = plan.stem
        for number, name in enumerate(LAYERS):
            planes, units = plan.planes * 2**number, []
            for unit in range(plan.units[number]):
                form = "space" if name == LAYERS[-1] else next(forms)
                units.append(Unit(width, planes, form, stride=2 if number > 0 and unit == 0 else 1))
                width = planes * EXPANSION
            self.add_module(name, Stage(*units))
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        initialise_head(self.fc)

    def stem(self, clips: Tensor) -> Tensor:
        """Return what goes into `layer1` (B * S, C', T, H', W') of `clips` (B, S * T, C, H, W), normalised."""
        segments = count_segments(clips, self.frames, self.channels)
        x = clips.unflatten(1, (segments, self.frames)).flatten(0, 1)
        x = x.transpose(1, 2).contiguous(memory_format=self.memory_format)  # (B * S, C, T, H, W)
        return self.maxpool(self.relu(self.bn1(self.conv1_custom(x))))

    def pooled(self, x: Tensor, segments: int) -> Tensor:
        """Return the features (B, S, F) of each segment, of `x` (B * S, F, T, H, W) from behind `layer4`."""
        return self.avgpool(x).flatten(1).unflatten(0, (-1, segments))

    def say(self, features: Tensor) -> Tensor:
        """Return the logits (B, N) for `features` (B, S, F): the mean over the segments."""
        # The classifier is affine, so the mean of the segments' logits is the logits of the segments' mean.
        return self.classify(self.dropout(features).mean(dim=1))

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised, of any height and width."""
        x, segments, maps = self.stem(clips), clips.shape[1] // self.frames, {}
        for name in LAYERS:
            x = self.get_submodule(name)(x)
            if name in self.kept:
                maps[name] = x.unflatten(0, (-1, segments))
        features = self.pooled(x, segments)
        return Prediction(self.say(self.classifier_input(features)), features.mean(dim=1), maps)


def build(config: P3dNetwork, shape: ClipShape, *, classes: int) -> P3d:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    return P3d(
        PLANS[config.depth],
        frames=shape.frames,
        channels=shape.channels[config.modality],
        classes=classes,
        dropout=config.dropout,
    )
