"""Streams that add to each other's inner features: connections in one direction or in all (Xiao et al. 2020)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mml_core.config.networks.lateral_fusion import LateralFusionNetwork
from mml_core.networks.interface import ClipShape, Prediction
from mml_core.networks.pooled import STRETCHES, SegmentNetwork, is_sound
from mml_core.networks.streams import FusionClassifier, build_streams

#: Connections are behind the stem and all stages but the last.
PLACES = STRETCHES - 1


class Inner(NamedTuple):
    """What comes out of a stretch of a stream, over the n segments of all clips.

    images: (n * T, C, H, W), or of sound (n, C, frequencies, times). frames: T. heard: whether it is of sound.
    """

    images: Tensor
    frames: int
    heard: bool

    def volume(self) -> Tensor:
        """Return it as (n, C, times, H, W), or of sound as (n, C, times, frequencies, 1)."""
        if self.heard:
            return self.images.transpose(2, 3)[..., None]
        return self.images.unflatten(0, (-1, self.frames)).transpose(1, 2)


def averages(count: int, size: int, device: torch.device) -> Tensor:
    """Return the matrix (size, count), float32, that turns `count` values into `size` means of neighbours.

    Mean i is over values floor(i * count / size) to ceil((i + 1) * count / size) - 1, as in torch's adaptive average
    pooling, so that where there are more means than values, values are repeated.
    """
    row, column = torch.arange(size, device=device)[:, None], torch.arange(count, device=device)
    first, behind = row * count // size, -(-(row + 1) * count // size)
    return ((column >= first) & (column < behind)).float() / (behind - first)


def resampled(volume: Tensor, shape: torch.Size) -> Tensor:
    """Return `volume` (n, C, times, rows, columns) with the times, rows and columns that `shape` has.

    Means are matrix products: their gradients are the same in every run, which those of torch's adaptive average
    pooling are not on a GPU.
    """
    for axis in (2, 3, 4):
        count, size = volume.shape[axis], shape[axis]
        if count != size:
            means = averages(count, size, volume.device).to(volume.dtype)
            volume = (volume.movedim(axis, -1) @ means.T).movedim(-1, axis)
    return volume


def brought(source: Inner, target: Inner) -> Tensor:
    """Return the images of `source` as those of `target` can take them, in its layout and with the source's channels.

    Pictures for pictures, and sound for sound, are averaged to the target's times and places. Otherwise the mean over
    all places, or all frequencies, is taken, and has one place for all of the target's, at each of its times.
    """
    volume, wanted = source.volume(), target.volume().shape
    if source.heard != target.heard:
        volume, wanted = volume.mean(dim=(3, 4), keepdim=True), torch.Size((*wanted[:3], 1, 1))
    volume = resampled(volume, wanted)
    return volume[..., 0].transpose(2, 3) if target.heard else volume.transpose(1, 2).flatten(0, 1)


class LateralFusion(FusionClassifier):
    """Streams that add to each other's features behind the stem and all stages but the last; see `FusionClassifier`.

    What a stream adds to another is a learnt linear map of its channels (a convolution 1 x 1) of what both had before
    anything was added at that place. The maps start as zeros, so that at first streams know nothing of each other.
    `lateral.rgb.audio.2` is what the stream of rgb gets from that of audio behind stretch 2.

    Args:
        streams: by modality, in the order in which `forward` takes their clips.
        targets: streams that get something from all others.
    """

    def __init__(self, streams: Mapping[str, SegmentNetwork], targets: Collection[str]) -> None:
        super().__init__(streams)
        self.lateral = nn.ModuleDict(
            {
                target: nn.ModuleDict(
                    {name: _connections(one, streams[target]) for name, one in streams.items() if name != target}
                )
                for target in targets
            }
        )

    def say(self, clips: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Return what each stream says with what it gets; what is not needed for those that are asked does not run."""
        needed = [name for name in self.streams if name in self.asked or self._feeds(name, self.asked)]
        pictures = {name: self.streams[name].pictures(clips[name]) for name in needed}
        x = {
            name: Inner(self.streams[name].images(one), one.shape[2], is_sound(clips[name]))
            for name, one in pictures.items()
        }
        for place in range(PLACES):
            x = {name: self._advance(name, one, place) for name, one in x.items()}
            x = self._exchange(x, place, into=self.asked if place == PLACES - 1 else needed)
        last = {name: self._advance(name, x[name], PLACES).images for name in self.asked}
        return {
            name: self.say_of(name, self.streams[name].mean_of(images, pictures[name].shape[:2]))
            for name, images in last.items()
        }

    def _feeds(self, name: str, targets: Collection[str]) -> bool:
        """Return whether a stream gives something to one of `targets`."""
        return any(target in self.lateral and name in self.lateral[target] for target in targets)

    def _advance(self, name: str, x: Inner, number: int) -> Inner:
        images, frames = self.streams[name].advance(x.images, x.frames, number)
        return Inner(images, frames, x.heard)

    def _exchange(self, x: Mapping[str, Inner], place: int, into: Collection[str]) -> dict[str, Inner]:
        """Return `x` with what those of `into` get at a place."""
        after = dict(x)
        for target in (name for name in into if name in self.lateral):
            images = x[target].images
            for source, connections in self.lateral[target].items():
                images = images + connections[place](brought(x[source], x[target]))
            after[target] = x[target]._replace(images=images)
        return after


def _connections(source: SegmentNetwork, target: SegmentNetwork) -> nn.ModuleList:
    """Return the linear maps from one stream to another, one a place, all zeros."""
    maps = nn.ModuleList(
        nn.Conv2d(source.width(place), target.width(place), kernel_size=1, bias=False) for place in range(PLACES)
    )
    for one in maps:
        nn.init.zeros_(one.weight)
    return maps


def build(config: LateralFusionNetwork, shape: ClipShape, *, classes: int) -> LateralFusion:
    """Return the network that `config` describes, with random weights from torch's global generator."""
    targets = config.streams if config.direction == "bilateral" else config.streams[:1]
    return LateralFusion(build_streams(config, shape, classes=classes), targets)
