"""What goes into networks: the modalities that each reads, at its scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mml_core.clips import input_channels, normalise
from mml_core.config.clips import ClipConfig
from mml_core.config.depth import Colours
from mml_core.config.networks import NetworkBase
from mml_core.kinds import Scale
from mml_core.networks.interface import ClipShape


class Input(NamedTuple):
    """One input of a network: a modality, its kind (rgb, flow, …, audio), and how the network wants to see it."""

    modality: str
    kind: str
    scale: Scale
    colours: Colours = "jet"


def inputs_of(network: NetworkBase, kinds: Mapping[str, str], *, testing: bool = False) -> tuple[Input, ...]:
    """Return the inputs of `network`, in training or in `testing`, in the order in which its `forward` takes them.

    `kinds` by modality.
    """
    read = network.tested_modalities if testing else network.modalities
    return tuple(Input(name, kinds[name], network.scale_of(name), network.colours) for name in read)


def clip_shape(network: NetworkBase, clip: ClipConfig, kinds: Mapping[str, str]) -> ClipShape:
    """Return what `network` takes of a video when it is trained on clips as in `clip`; `kinds` by modality."""
    channels = {name: input_channels(kinds[name], clip.stack) for name in network.modalities}
    return ClipShape(clip.frames, channels, clip.segments, clip.sound_sec)


def normalised_inputs(
    levels: Mapping[str, Tensor],
    networks: Mapping[str, Sequence[Input]],
    missing: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, tuple[Tensor, ...]]:
    """Return what each of `networks` takes: 8-bit `levels` (B, T, C, H, W) by modality, normalised once a scale.

    Sound is of 16 bits, (B, S, 1, 1, W). `missing` are modalities without levels, by name with the shape of one clip:
    networks get zeros.
    """
    absent = missing or {}
    wanted = {one for inputs in networks.values() for one in inputs}
    made = {
        one: _zeros(levels, absent[one.modality])
        if one.modality in absent
        else normalise(levels[one.modality], one.kind, one.scale, one.colours)
        for one in wanted
    }
    return {name: tuple(made[one] for one in inputs) for name, inputs in networks.items()}


def _zeros(levels: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    """Return zeros (B, *`shape`), float32, for as many clips as the others of a batch, on their device."""
    other = next(iter(levels.values()))
    return torch.zeros((len(other), *shape), device=other.device)
