"""3-D ResNets (Hara, Kataoka, Satoh 2018).

Layers, widths and names of parameters are those of kenshohara/3D-ResNets-PyTorch, so that its published weights fit.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mml_core.config.networks.resnet3d import ResNet3dNetwork
from mml_core.networks.interface import ClipShape
from mml_core.networks.whole_segments import SegmentClassifier, classifier_settings

WIDTH = 64
#: Blocks of the four stages.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
#: From so many layers on a block is a bottleneck, which ends four times as wide.
FIRST_OF_BOTTLENECKS, EXPANSION = 50, 4


class Block(nn.Module):
    """Convolutions of `sizes` (1 or 3 over space and time), one of which has the stride, beside a shortcut of type B.

    Without bottleneck they are two of 3 x 3 x 3, with one they are of 1 x 1 x 1, 3 x 3 x 3 and 1 x 1 x 1.
    """

    def __init__(self, channels: int, planes: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        out = planes * EXPANSION if bottleneck else planes
        sizes, widths = ((1, 3, 1), (planes, planes, out)) if bottleneck else ((3, 3), (planes, out))
        self.count, width = len(sizes), channels
        for number, (size, following) in enumerate(zip(sizes, widths, strict=True), start=1):
            own = stride if number == sizes.index(3) + 1 else 1
            self.add_module(f"conv{number}", nn.Conv3d(width, following, size, own, size // 2, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm3d(following))
            width = following
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv3d(channels, out, 1, stride, bias=False), nn.BatchNorm3d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, T', H', W') for `x` (B, C, T, H, W)."""
        residual = x
        for number in range(1, self.count + 1):
            residual = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(residual))
            if number < self.count:
                residual = self.relu(residual)
        residual += x if self.downsample is None else self.downsample(x)
        return self.relu(residual)


class ResNet3d(SegmentClassifier):
    """A 3-D ResNet of `depth` layers, for clips of any number of frames and any size.

    The stem keeps the number of frames and halves the images; the pool behind it, and each stage but the first, halve
    both. Blocks whose maps can be kept: layer1 … layer4, (B, S, C, T', H', W').
    """

    def __init__(self, depth: int, **settings: int | float) -> None:
        bottleneck = depth >= FIRST_OF_BOTTLENECKS
        expansion = EXPANSION if bottleneck else 1
        super().__init__(size=8 * WIDTH * expansion, **settings)
        self.conv1 = nn.Conv3d(self.channels, WIDTH, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1, self.relu = nn.BatchNorm3d(WIDTH), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(kernel_size=3, stride=2, padding=1)
        width = WIDTH
        for number, blocks in enumerate(BLOCKS[depth]):
            planes, stage = WIDTH * 2**number, nn.Sequential()
            for block in range(blocks):
                stride = 2 if number > 0 and block == 0 else 1
                stage.append(Block(width, planes, stride, bottleneck=bottleneck))
                width = planes * expansion
            self.add_module(f"layer{number + 1}", stage)
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def look(self, x: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return features, the mean over all places, and maps; see `SegmentClassifier`."""
        x, maps = self.maxpool(self.relu(self.bn1(self.conv1(x)))), {}
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
            if name in self.kept:
                maps[name] = x
        return self.avgpool(x).flatten(1), maps


def build(config: ResNet3dNetwork, shape: ClipShape, *, classes: int) -> ResNet3d:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    settings = classifier_settings(shape, config.modality, classes=classes, dropout=config.dropout)
    return ResNet3d(config.depth, **settings)
