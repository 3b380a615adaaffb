"""Clip classifiers with 3-D convolutions: I3D on a ResNet, the 2-D kernels inflated (Carreira & Zisserman 2017).

Which convolutions see time is the ResNet form that Meta's SlowFast and PyTorchVideo train on Kinetics (`i3d_r50`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import ResNet

from mml_core.networks.backbones import TinyResNet, first_convolution
from mml_core.networks.interface import HEAD_STD, Prediction, VideoNetwork, count_segments, initialise_head

#: Frames that the first convolution sees, and the first one of each residual block that looks at its neighbours.
STEM_LENGTH, BLOCK_LENGTH = 5, 3
#: (first, step) of each of the four stages: its blocks first, first + step, … look at their neighbours.
TEMPORAL_BLOCKS = ((0, 1), (0, 2), (0, 2), (1, 2))


class InflatedClassifier(VideoNetwork):
    """A ResNet whose images got a time axis: (B, C, T, H, W) all the way, pooled over time and space at the end.

    Its modules and parameters carry the names of torchvision's ResNet, with weights of convolutions (O, C, T, K, K).
    Time is seen by the first convolution (5 frames), by the first one of some residual blocks (3 frames, see
    `TEMPORAL_BLOCKS`), and halved once, by the maximum of two neighbours behind the first stage.

    With random weights it is the inflation of the random image network, as it is with those of a trained one.

    Args:
        backbone: taken apart, not copied.
        frames: T, frames of a segment; no parameter depends on it.
        channels: C of an input frame (3 RGB, 10 flow, 15 differences).
        classes: N.
        dropout: probability, on the pooled features before the classifier.
        head_std: standard deviation of the classifier's first weights.
    """

    #: Layout in memory of weights and activations, for `Module.to`. On a CPU, channels last makes training 1.4 times
    #: and inference 1.6 times as fast with resnet_tiny, and neither faster nor slower with resnet50 (measured).
    memory_format = torch.channels_last_3d

    def __init__(
        self,
        backbone: ResNet | TinyResNet,
        *,
        frames: int,
        channels: int,
        classes: int,
        dropout: float,
        head_std: float = HEAD_STD,
    ) -> None:
        super().__init__()
        self.head_std = head_std
        self.frames, self.channels = frames, channels
        self.conv1 = _inflated_convolution(first_convolution(backbone.conv1, channels), STEM_LENGTH)
        self.bn1, self.relu = _inflated_normalisation(backbone.bn1), backbone.relu
        self.maxpool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        # An odd frame at the end stays by itself rather than being dropped, so that a clip may have one frame.
        self.temporal_pool = nn.MaxPool3d((2, 1, 1), stride=(2, 1, 1), ceil_mode=True)
        self.layer1, self.layer2 = backbone.layer1, backbone.layer2
        self.layer3, self.layer4 = backbone.layer3, backbone.layer4
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        for layer, (first, step) in zip(layers, TEMPORAL_BLOCKS, strict=True):
            for index, block in enumerate(layer):
                _inflate_block(block, BLOCK_LENGTH if index % step == first else 1)
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(backbone.fc.in_features, classes)
        initialise_head(self.fc, head_std)

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised: the mean over the segments."""
        segments = count_segments(clips, self.frames, self.channels)
        x = clips.unflatten(1, (segments, self.frames)).flatten(0, 1)
        x = x.transpose(1, 2).contiguous(memory_format=self.memory_format)  # (B * S, C, T, H, W)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = {}
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = getattr(self, name)(x)
            if name == "layer1":
                x = self.temporal_pool(x)  # (B * S, C, ceil(T / 2), H / 4, W / 4)
            if name in self.kept:
                maps[name] = x.unflatten(0, (-1, segments))
        features = self.avgpool(x).flatten(1).unflatten(0, (-1, segments))  # (B, S, F)
        logits = self.classify(self.dropout(self.classifier_input(features)).mean(dim=1))
        return Prediction(logits, features.mean(dim=1), maps)


def inflate(weight: Tensor, length: int) -> Tensor:
    """Return the weights (O, C, K, K) of a convolution over images for one over `length` frames, (O, C, T, K, K).

    Every frame gets 1 / T of them, so that a clip of equal images gives each image's response, except where the
    kernel reaches beyond the clip's ends, where frames are zero (Carreira & Zisserman 2017, section 2.4).
    """
    return weight.unsqueeze(2).repeat(1, 1, length, 1, 1) / length


def _inflate_block(block: nn.Module, length: int) -> None:
    """Give a residual block of torchvision, whose `forward` asks for no number of axes, 3-D modules in place.

    `length` frames are seen by its first convolution: 1 x 1 in a bottleneck, 3 x 3 in a basic block.
    """
    for name, module in list(block.named_modules()):
        match module:
            case nn.Conv2d():
                block.set_submodule(name, _inflated_convolution(module, length if name == "conv1" else 1))
            case nn.BatchNorm2d():
                block.set_submodule(name, _inflated_normalisation(module))


def _inflated_convolution(convolution: nn.Conv2d, length: int) -> nn.Conv3d:
    """Return `convolution`, one of a ResNet and so without bias, inflated to an odd `length` of frames."""
    inflated = nn.Conv3d(
        convolution.in_channels,
        convolution.out_channels,
        kernel_size=(length, *convolution.kernel_size),
        stride=(1, *convolution.stride),
        padding=(length // 2, *convolution.padding),
        bias=False,
        device="meta",
    )
    inflated.weight = nn.Parameter(inflate(convolution.weight.detach(), length))
    return inflated


def _inflated_normalisation(normalisation: nn.BatchNorm2d) -> nn.BatchNorm3d:
    """Return `normalisation` over clips: the same numbers, from the statistics of all frames together."""
    inflated = nn.BatchNorm3d(normalisation.num_features, eps=normalisation.eps, momentum=normalisation.momentum)
    inflated.load_state_dict(normalisation.state_dict())
    return inflated
