"""A stream of the multiplier networks: an image ResNet with temporal convolutions, its units between plain sums.

Convention: x with the index l in the paper's equation 2 is the sum of a residual unit *before* its ReLU f. So units
here take and give such sums; torchvision's apply f at their end.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock, Bottleneck

from mml_core.networks.backbones import TinyResNet, first_convolution
from mml_core.networks.interface import Prediction, VideoNetwork, count_segments, initialise_head

LAYERS = ("layer1", "layer2", "layer3", "layer4")
Inject = Literal["mul", "x_plus_mul", "none"]


def place_of(units: int) -> int:
    """Return which of a layer's `units`, counted from 0, has the temporal convolution and takes the other's signal."""
    return min(1, units - 1)


def injected(x: Tensor, signal: Tensor | None, inject: Inject) -> Tensor:
    """Return what goes into a unit's convolutions, of `x` and the other stream's `signal`, sums of equal shape."""
    match inject if signal is not None else "none":
        case "mul":  # equation 2
            return x * F.relu(signal)
        case "x_plus_mul":  # the authors' code
            return F.relu(x) + x * F.relu(signal)
        case _:
            return F.relu(x)


class TemporalConvolution(nn.Conv2d):
    """A convolution of length 3 over the frames of a segment, at each place by itself; zeros beyond both ends.

    It starts as the identity: 1 at the middle frame from each channel to itself (section 3.1). Its weights are
    (C, C, 3, 1): frames stand where rows of an image would, and places where columns would.
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__(channels, channels, kernel_size=(3, 1), padding=(1, 0), bias=False)
        self.frames = frames
        nn.init.zeros_(self.weight)
        with torch.no_grad():
            self.weight[:, :, 1, 0] = torch.eye(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` (B * S * T, C, H, W) convolved along T, in its shape."""
        images, _, height, width = x.shape
        over_time = x.permute(0, 2, 3, 1).reshape(images // self.frames, self.frames, height * width, -1)
        y = super().forward(over_time.permute(0, 3, 1, 2))  # (B * S, C, T, H * W), channels last without a copy
        return y.permute(0, 2, 3, 1).reshape(images, height, width, -1).permute(0, 3, 1, 2)


class ResidualUnit(nn.Module):
    """A residual unit from sum to sum, with the modules of torchvision's under their names.

    The temporal convolution, where there is one, is before the last convolution: the identity there changes nothing.

    Args:
        unit: torchvision's, taken apart, not copied.
        frames: T of the temporal convolution; None: there is none.
    """

    def __init__(self, unit: BasicBlock | Bottleneck, frames: int | None) -> None:
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = unit.conv1, unit.bn1, unit.conv2, unit.bn2
        self.steps, last = [("conv1", "bn1"), ("conv2", "bn2")], unit.conv2
        if isinstance(unit, Bottleneck):
            self.conv3, self.bn3, last = unit.conv3, unit.bn3, unit.conv3
            self.steps.append(("conv3", "bn3"))
        self.temporal = None if frames is None else TemporalConvolution(last.in_channels, frames)
        self.downsample = unit.downsample

    def forward(self, x: Tensor, signal: Tensor | None = None, inject: Inject = "none") -> Tensor:
        """Return the sum (N, C', H', W') of the unit for `x` (N, C, H, W), the sum before it.

        The shortcut is f(x), whatever `signal`, the other stream's sum at this place, does to the convolutions' input.
        """
        shortcut, y = F.relu(x), injected(x, signal, inject)
        for convolution, norm in self.steps[:-1]:
            y = F.relu(self.get_submodule(norm)(self.get_submodule(convolution)(y)))
        if self.temporal is not None:
            y = self.temporal(y)
        convolution, norm = self.steps[-1]
        y = self.get_submodule(norm)(self.get_submodule(convolution)(y))
        return y + (shortcut if self.downsample is None else self.downsample(shortcut))


class Stream(VideoNetwork):
    """An image ResNet over clips with a temporal convolution in each layer; the mean of all frames' logits.

    Modules carry the names of torchvision's ResNet, so that its weights start a stream; temporal convolutions, which
    these lack, then stay the identity. Before anything learns it says what a TSN of the same weights says.

    Args:
        backbone: taken apart, not copied.
        frames: T, frames of a segment; no parameter depends on it.
        channels: C of an input frame.
        classes: N.
        dropout: probability, on each frame's features before the classifier.
    """

    cam_layer = "relu"  # layers are not called as a whole

    def __init__(
        self, backbone: ResNet | TinyResNet, *, frames: int, channels: int, classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.frames, self.channels = frames, channels
        self.conv1, self.bn1 = first_convolution(backbone.conv1, channels), backbone.bn1
        self.maxpool, self.relu, self.avgpool = backbone.maxpool, nn.ReLU(), backbone.avgpool
        self.places = {}
        for name in LAYERS:
            units = list(getattr(backbone, name))
            self.places[name] = place_of(len(units))
            timed = [frames if number == self.places[name] else None for number in range(len(units))]
            setattr(self, name, nn.Sequential(*map(ResidualUnit, units, timed)))
        self.additions = tuple(f"{name}.{place}.temporal" for name, place in self.places.items())
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(backbone.fc.in_features, classes)
        initialise_head(self.fc, self.head_std)

    def stem(self, clips: Tensor) -> Tensor:
        """Return the sum before `layer1`, (B * S * T, C', H', W'), of `clips` (B, S * T, C, H, W), normalised.

        The maximum comes before the ReLU here; the two can change places.
        """
        count_segments(clips, self.frames, self.channels)
        x = clips.flatten(0, 1).contiguous(memory_format=self.memory_format)
        return self.maxpool(self.bn1(self.conv1(x)))

    def to_place(self, x: Tensor, layer: str) -> Tensor:
        """Return the sum at the place of `layer` at which a signal may come in, of the sum `x` before the layer."""
        for unit in self.get_submodule(layer)[: self.places[layer]]:
            x = unit(x)
        return x

    def from_place(self, x: Tensor, layer: str, signal: Tensor | None = None, inject: Inject = "none") -> Tensor:
        """Return the sum behind `layer`, of the sum `x` at its place and what comes in there."""
        first, *others = self.get_submodule(layer)[self.places[layer] :]
        x = first(x, signal, inject)
        for unit in others:
            x = unit(x)
        return x

    def pooled(self, x: Tensor, images: int) -> Tensor:
        """Return the features (B, images, F) of each frame, of `x` (B * images, F, H, W) behind the last ReLU."""
        return self.avgpool(x).flatten(1).unflatten(0, (-1, images))

    def say(self, features: Tensor) -> Tensor:
        """Return the logits (B, N) for `features` (B, S * T, F): the mean over the frames."""
        # The classifier is affine, so the mean of the frames' logits is the logits of the frames' mean.
        return self.classify(self.dropout(features).mean(dim=1))

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised, of any height and width.

        Maps that can be kept are those of layers, behind their last ReLU, and `relu`, which is that of `layer4`.
        """
        x, maps, images = self.stem(clips), {}, clips.shape[1]
        for layer in LAYERS:
            x = self.from_place(self.to_place(x, layer), layer)
            if layer in self.kept:
                maps[layer] = F.relu(x).unflatten(0, (-1, images))
        x = self.relu(x)
        if "relu" in self.kept:
            maps["relu"] = x.unflatten(0, (-1, images))
        features = self.pooled(x, images)
        return Prediction(self.say(self.classifier_input(features)), features.mean(dim=1), maps)
