"""Image networks over segments, with temporal max-poolings: TSN and MobileNetV2 (AdaMML).

An input is frames, or the sound of each segment, of which the network sees the spectrogram as a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, mobilenet_v2

from mml_core.config.networks.pooled import MobileNetNetwork, TsnPoolNetwork
from mml_core.networks.backbones import TinyResNet, build_backbone, first_convolution
from mml_core.networks.interface import ClipShape, Prediction, VideoNetwork, count_segments, initialise_head
from mml_core.networks.spectrogram import log_spectrogram

#: What these networks have one behind the other, with fewer pixels in each: the stem, and four stages.
STRETCHES = 5


def temporal_max_pool(x: Tensor, frames: int) -> Tensor:
    """Return the maximum over a frame and its neighbours, of every second frame: kernel 3, stride 2, padding 1.

    `x` (n * T, C, H, W) with T = `frames` becomes (n * ceil(T / 2), C, H, W). It is made of maxima of two, whose
    gradients are the same in every run, which those of torch's 3-D max-pooling are not on a GPU.
    """
    if frames == 1:
        return x
    x = x.unflatten(0, (-1, frames))
    centre, after = x[:, ::2], x[:, 1::2]
    both = torch.maximum(centre[:, : after.shape[1]], after)
    ahead = torch.cat([both, centre[:, after.shape[1] :]], dim=1)
    behind = torch.maximum(ahead[:, 1:], after[:, : centre.shape[1] - 1])
    return torch.cat([ahead[:, :1], behind], dim=1).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def is_sound(clips: Tensor) -> bool:
    """Return whether `clips` are windows of sound, (B, S, 1, 1, W), and no frames."""
    return clips.ndim == 5 and clips.shape[2:4] == (1, 1)


class SegmentNetwork(VideoNetwork):
    """A network over each segment by itself, the mean of the segments' logits as the clip's.

    Args:
        frames: T of a segment; no parameter depends on it.
        channels: C of an input frame.
        sound_sec: of a segment of an input that is sound.
        size: features of a segment.
        classes: N; None: it has no classifier, and `features_of` is what it is for.
        dropout: probability, on a segment's features before the classifier.
    """

    #: Stretches, counted from 0, in front of which frames are pooled over time.
    pooled_before: ClassVar[tuple[int, ...]]
    #: Names of the blocks whose maps can be kept, by the stretch that they are the end of.
    blocks: ClassVar[Mapping[int, str]]

    def __init__(
        self, *, frames: int, channels: int, sound_sec: float, size: int, classes: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.frames, self.channels, self.sound_sec, self.size = frames, channels, sound_sec, size
        if classes is None:
            self.classifiers = ()
        else:
            self.dropout = nn.Dropout(dropout)
            self.fc = nn.Linear(size, classes)
            initialise_head(self.fc, self.head_std)

    def stretch(self, number: int) -> Sequence[nn.Module]:
        """Return the modules of a stretch, which run one after the other over images (n, C, H, W)."""
        raise NotImplementedError

    def width(self, number: int) -> int:
        """Return the channels of what comes out of a stretch: those of its last batch normalisation."""
        inner = (module for outer in self.stretch(number) for module in outer.modules())
        return [module for module in inner if isinstance(module, nn.BatchNorm2d)][-1].num_features

    def advance(self, x: Tensor, frames: int, number: int) -> tuple[Tensor, int]:
        """Return what comes out of a stretch for images `x` (n * T, C, H, W), and its frames, with T = `frames` in."""
        if number in self.pooled_before:
            x, frames = temporal_max_pool(x, frames), -(-frames // 2)
        for module in self.stretch(number):
            x = module(x)
        return x, frames

    def segments_of(self, clips: Tensor) -> int:
        """Return S of `clips`; raises ValueError for clips of another form than `forward` takes."""
        return count_segments(clips, 1 if is_sound(clips) else self.frames, self.channels)

    def pictures(self, clips: Tensor) -> Tensor:
        """Return the pictures (B, S, T, C, H, W) of `clips`: their frames, or each segment's sound as a spectrogram."""
        segments = self.segments_of(clips)
        if not is_sound(clips):
            return clips.unflatten(1, (segments, self.frames))
        return log_spectrogram(clips[:, :, 0, 0], round(clips.shape[-1] / self.sound_sec))[:, :, None, None]

    def images(self, pictures: Tensor) -> Tensor:
        """Return `pictures` (B, S, T, C, H, W) as the images (B * S * T, C, H, W) that the stem takes."""
        return pictures.flatten(0, 2).contiguous(memory_format=self.memory_format)

    def mean_of(self, x: Tensor, segments: torch.Size) -> Tensor:
        """Return the features (B, S, F) of what comes out of the last stretch; `segments` (B, S)."""
        return x.mean(dim=(2, 3)).unflatten(0, (*segments, -1)).mean(dim=2)

    def features_of(self, pictures: Tensor, maps: dict[str, Tensor] | None = None) -> Tensor:
        """Return the features (B, S, F) of `pictures` (B, S, T, C, H, W); `maps` gets those that are to be kept."""
        x, frames = self.images(pictures), pictures.shape[2]
        for number in range(STRETCHES):
            x, frames = self.advance(x, frames, number)
            if maps is not None and self.blocks.get(number) in self.kept:
                maps[self.blocks[number]] = x.unflatten(0, (len(pictures), -1))
        return self.mean_of(x, pictures.shape[:2])

    def say(self, features: Tensor) -> Tensor:
        """Return the logits (B, N) for `features` (B, S, F) of segments.

        The classifier is affine, so the mean of the segments' logits is the logits of the segments' mean.
        """
        return self.classify(self.dropout(features).mean(dim=1))

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised, or for sound (B, S, 1, 1, W) in -1 … 1."""
        maps: dict[str, Tensor] = {}
        features = self.features_of(self.pictures(clips), maps)
        return Prediction(self.say(self.classifier_input(features)), features.mean(dim=1), maps)


class PooledResNet(SegmentNetwork):
    """An image ResNet over the frames of a segment, with a temporal max-pooling at the start of stages 2, 3 and 4.

    Parameters carry torchvision's names. Of 8 frames one is left; where there are more, their mean counts.
    """

    pooled_before = (2, 3, 4)
    blocks = {number: f"layer{number}" for number in range(1, STRETCHES)}  # noqa: RUF012 - never changed

    def __init__(self, backbone: ResNet | TinyResNet, **settings: int | float | None) -> None:
        super().__init__(size=backbone.fc.in_features, **settings)
        self.conv1 = first_convolution(backbone.conv1, self.channels)
        self.bn1, self.relu, self.maxpool = backbone.bn1, backbone.relu, backbone.maxpool
        self.layer1, self.layer2 = backbone.layer1, backbone.layer2
        self.layer3, self.layer4 = backbone.layer3, backbone.layer4

    def stretch(self, number: int) -> Sequence[nn.Module]:
        """Return the stem, or a layer; see `SegmentNetwork`."""
        return (self.get_submodule(f"layer{number}"),) if number else (self.conv1, self.bn1, self.relu, self.maxpool)


class PooledMobileNet(SegmentNetwork):
    """MobileNetV2 (Sandler et al. 2018) over the frames of a segment, with two temporal max-poolings.

    They are in front of the stages with 64 and with 160 channels, as in the authors' program; over a single picture,
    such as a spectrogram, they change nothing. Its blocks are torchvision's, `features.0` … `features.18`; the
    classifier, there `classifier.1`, is `fc`.
    """

    stems = ("features.0.0",)
    cam_layer = "features.18"
    pooled_before = (3, 4)
    blocks = {4: "features.18"}  # noqa: RUF012 - never changed
    #: The first of the blocks of each stretch, and the end.
    bounds = (0, 2, 4, 7, 14, 19)

    def __init__(self, **settings: int | float | None) -> None:
        backbone = mobilenet_v2(weights=None)
        super().__init__(size=backbone.last_channel, **settings)
        self.features = backbone.features
        self.features[0][0] = first_convolution(self.features[0][0], self.channels)

    def stretch(self, number: int) -> Sequence[nn.Module]:
        """Return blocks; see `SegmentNetwork`."""
        return self.features[self.bounds[number] : self.bounds[number + 1]]


def segment_network(
    backbone: str, shape: ClipShape, modality: str, *, frames: int, classes: int | None, dropout: float
) -> SegmentNetwork:
    """Return a network of `backbone`, a ResNet or mobilenet_v2, over segments of `frames` frames of `modality`."""
    settings = {
        "frames": frames,
        "channels": shape.channels[modality],
        "sound_sec": shape.sound_sec,
        "classes": classes,
        "dropout": dropout,
    }
    return (
        PooledMobileNet(**settings)
        if backbone == "mobilenet_v2"
        else PooledResNet(build_backbone(backbone), **settings)
    )


def build(config: TsnPoolNetwork | MobileNetNetwork, shape: ClipShape, *, classes: int) -> SegmentNetwork:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    backbone = config.backbone if isinstance(config, TsnPoolNetwork) else "mobilenet_v2"
    return segment_network(
        backbone, shape, config.modality, frames=shape.frames, classes=classes, dropout=config.dropout
    )
