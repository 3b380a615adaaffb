"""R(2+1)D, R3D and MC3 of 18 layers: torchvision's ResNets over clips (Tran et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torchvision.models.video import VideoResNet, mc3_18, r2plus1d_18, r3d_18

from mml_core.config.networks.video_resnets import VideoResNetNetwork
from mml_core.networks.interface import ClipShape
from mml_core.networks.whole_segments import SegmentClassifier, classifier_settings, over_channels

LAYERS = ("layer1", "layer2", "layer3", "layer4")


class VideoResNetClassifier(SegmentClassifier):
    """torchvision's `backbone`, which is taken apart, under torchvision's names: `stem`, `layer1` … `layer4`, `fc`.

    Predictions are torchvision's for clips of any number of frames and any size. Blocks whose maps can be kept: layer1
    … layer4, (B, S, C, T', H', W').
    """

    stems = ("stem.0",)

    def __init__(self, backbone: VideoResNet, **settings: int | float) -> None:
        super().__init__(size=backbone.fc.in_features, **settings)
        self.stem = backbone.stem
        self.stem[0] = over_channels(self.stem[0], self.channels)
        for name in LAYERS:
            self.add_module(name, backbone.get_submodule(name))
        self.avgpool = backbone.avgpool

    def look(self, x: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return features, the mean over all places, and maps; see `SegmentClassifier`."""
        x, maps = self.stem(x), {}
        for name in LAYERS:
            x = self.get_submodule(name)(x)
            if name in self.kept:
                maps[name] = x
        return self.avgpool(x).flatten(1), maps


def build(config: VideoResNetNetwork, shape: ClipShape, *, classes: int) -> VideoResNetClassifier:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    settings = classifier_settings(shape, config.modality, classes=classes, dropout=config.dropout)
    match config.architecture:
        case "r2plus1d_18":
            return VideoResNetClassifier(r2plus1d_18(weights=None), **settings)
        case "r3d_18":
            return VideoResNetClassifier(r3d_18(weights=None), **settings)
        case "mc3_18":
            return VideoResNetClassifier(mc3_18(weights=None), **settings)
