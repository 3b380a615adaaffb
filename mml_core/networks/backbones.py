"""Image backbones in torchvision's layout of modules and parameter names, randomly initialised."""

from __future__ import annotations

from typing import Literal

from torch import nn
from torchvision.models import ResNet, resnet18, resnet34, resnet50, resnet101
from torchvision.models.resnet import BasicBlock

BackboneName = Literal["resnet_tiny", "resnet18", "resnet34", "resnet50", "resnet101"]
TINY_WIDTH = 32


class TinyResNet(nn.Module):
    """ResNet of ten layers, half as wide as ResNet-18 and with one block a stage: 1.2 million parameters.

    Same names of modules as torchvision's ResNet (conv1, bn1, …, layer4, fc), for runs on a CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        width = TINY_WIDTH
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(width, width))
        self.layer2 = nn.Sequential(_halving_block(width, 2 * width))
        self.layer3 = nn.Sequential(_halving_block(2 * width, 4 * width))
        self.layer4 = nn.Sequential(_halving_block(4 * width, 8 * width))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                initialise_convolution(module)


def _halving_block(channels: int, planes: int) -> BasicBlock:
    """Return a block from `channels` to `planes` channels at half the resolution."""
    shortcut = nn.Sequential(nn.Conv2d(channels, planes, kernel_size=1, stride=2, bias=False), nn.BatchNorm2d(planes))
    return BasicBlock(channels, planes, stride=2, downsample=shortcut)


def initialise_convolution(convolution: nn.Conv2d) -> None:
    """Draw the weights as torchvision's ResNets do (He et al. 2015, by the fan out)."""
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")


def first_convolution(convolution: nn.Conv2d, channels: int) -> nn.Conv2d:
    """Return `convolution`, or one of its form over `channels` channels, drawn anew."""
    if convolution.in_channels == channels:
        return convolution
    fresh = nn.Conv2d(
        channels,
        convolution.out_channels,
        kernel_size=convolution.kernel_size,
        stride=convolution.stride,
        padding=convolution.padding,
        bias=False,
    )
    initialise_convolution(fresh)
    return fresh


def build_backbone(name: BackboneName) -> ResNet | TinyResNet:
    """Return the backbone `name` for images of three channels, with random weights."""
    match name:
        case "resnet_tiny":
            return TinyResNet()
        case "resnet18":
            return resnet18(weights=None)
        case "resnet34":
            return resnet34(weights=None)
        case "resnet50":
            return resnet50(weights=None)
        case "resnet101":
            return resnet101(weights=None)
