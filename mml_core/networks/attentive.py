"""Image ResNets over clips with attention blocks behind residual units: a branch, or a non-local network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn
from torchvision.models import ResNet

from mml_core.networks.attention import AttentionBlock
from mml_core.networks.backbones import TinyResNet
from mml_core.networks.interface import Prediction, VideoNetwork, count_segments
from mml_core.networks.tsm import ClipClassifier

LAYERS = ("layer1", "layer2", "layer3", "layer4")


def stretches(lengths: Mapping[str, int], units: Mapping[str, Sequence[int]]) -> list[list[str]]:
    """Return the modules of a ResNet between places, in the order in which they run: one list more than places.

    Args:
        lengths: residual units of each layer, by its name, in order.
        units: of some layers the units, counted from 1, behind which the places are.

    A layer without places is one module (`layer1`); of the others the units are, counted from 0 (`layer2.0`, …).
    """
    parts: list[list[str]] = [[]]
    for layer, length in lengths.items():
        if layer not in units:
            parts[-1].append(layer)
            continue
        for unit in range(length):
            parts[-1].append(f"{layer}.{unit}")
            if unit + 1 in units[layer]:
                parts.append([])
    return parts


class Branch(VideoNetwork):
    """A network that runs in stretches, with places between them at which it may look at what another one has there.

    B videos of I items each go through it together: frames of all segments in 2-D, segments in 3-D.
    """

    #: Names of the modules before the first place, between the places, and behind the last.
    stretches: list[list[str]]
    #: Names of the modules behind which the places are.
    places: list[str]
    #: By the names of the places the blocks with which it looks.
    attention: nn.ModuleDict

    def stem(self, clips: Tensor) -> Tensor:
        """Return what goes into the first stretch (B * I, C', …) of `clips` (B, S * T, C, H, W), normalised."""
        raise NotImplementedError

    def through(self, x: Tensor, stretch: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the modules of a stretch by name, each with what comes out of it; `x` goes into the first."""
        for name in self.stretches[stretch]:
            x = self.get_submodule(name)(x)
            yield name, x

    def attend(self, x: Tensor, other: Tensor, place: int) -> Tensor:
        """Return what `x` (B * I, C, …) at a place becomes by looking at `other`, the other branch's."""
        return self.attention.get_submodule(self.places[place])(x, other)

    def pooled(self, x: Tensor, items: int) -> Tensor:
        """Return the features (B, I, F) of each item, of `x` (B * I, F, …) from behind the last stretch."""
        raise NotImplementedError

    def say(self, features: Tensor) -> Tensor:
        """Return the logits (B, N) for `features` (B, I, F): the mean over the items (equation 6)."""
        raise NotImplementedError


class AttentiveClassifier(ClipClassifier, Branch):
    """A TSN with attention blocks behind some residual units; each frame attends by itself.

    A block is named after the unit that it stands behind, in torchvision's numbers, which start at 0: behind
    `layer3.5` there may be `non_local.layer3.5`, which looks at the frame itself, and behind that `attention.layer3.5`,
    which looks at what another branch has at the same place.

    Called by itself it is the non-local network, whose `attention` is empty. Inner modules whose maps can be kept are
    those of its stretches: layers without blocks, units of the others, non-local blocks.

    Args:
        backbone: taken apart, not copied.
        frames: T, frames of a segment; no parameter depends on it.
        channels: C of an input frame.
        classes: N.
        dropout: probability, on each frame's features before the classifier.
        units: of some layers the residual units, counted from 1, behind which blocks stand.
        attends: whether it has the blocks that look at another branch.
        non_local: whether it has those that look at itself.
    """

    additions = ("attention", "non_local")

    def __init__(
        self,
        backbone: ResNet | TinyResNet,
        *,
        frames: int,
        channels: int,
        classes: int,
        dropout: float,
        units: Mapping[str, Sequence[int]],
        attends: bool,
        non_local: bool,
    ) -> None:
        super().__init__(backbone, frames=frames, channels=channels, classes=classes, dropout=dropout, shift=False)
        self.attention = self._blocks(units if attends else {})
        self.non_local = self._blocks(units if non_local else {})
        self.stretches = stretches({layer: len(self.get_submodule(layer)) for layer in LAYERS}, units)
        self.places = [part[-1] for part in self.stretches[:-1]]
        if non_local:
            for part in self.stretches[:-1]:
                part.append(f"non_local.{part[-1]}")

    def _blocks(self, units: Mapping[str, Sequence[int]]) -> nn.ModuleDict:
        """Return a block for each of `units`, by layer and by number counted from 0."""
        return nn.ModuleDict(
            {
                layer: nn.ModuleDict(
                    {str(unit - 1): AttentionBlock(_channels(self.get_submodule(layer)[unit - 1])) for unit in numbers}
                )
                for layer, numbers in units.items()
            }
        )

    def stem(self, clips: Tensor) -> Tensor:
        """Return what goes into `layer1` (B * S * T, C', H', W') of `clips` (B, S * T, C, H, W), normalised."""
        count_segments(clips, self.frames, self.channels)
        x = clips.flatten(0, 1).contiguous(memory_format=self.memory_format)
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def pooled(self, x: Tensor, images: int) -> Tensor:
        """Return the features (B, S * T, F) of each frame, of `x` (B * S * T, F, H, W) from behind `layer4`."""
        return self.avgpool(x).flatten(1).unflatten(0, (-1, images))

    def say(self, features: Tensor) -> Tensor:
        """Return the logits (B, N) for `features` (B, S * T, F): the mean over the frames (equation 6)."""
        # The classifier is affine, so the mean of the frames' logits is the logits of the frames' mean.
        return self.classify(self.dropout(features).mean(dim=1))

    def forward(self, clips: Tensor) -> Prediction:
        """Return the prediction for `clips` (B, S * T, C, H, W), normalised, of any height and width."""
        x, maps = self.stem(clips), {}
        for stretch in range(len(self.stretches)):
            for name, x in self.through(x, stretch):  # noqa: B020 - the last one goes on
                if name in self.kept:
                    maps[name] = x.unflatten(0, (-1, clips.shape[1]))
        features = self.pooled(x, clips.shape[1])
        return Prediction(self.say(self.classifier_input(features)), features.mean(dim=1), maps)


def _channels(unit: nn.Module) -> int:
    """Return the channels of what comes out of a residual unit of torchvision."""
    last = [one for one in unit.children() if isinstance(one, nn.Conv2d)][-1]
    return last.out_channels
