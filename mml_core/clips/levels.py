"""From stored 8-bit levels to what networks are fed: how many channels, and in which range."""

from __future__ import annotations

import torch
from torch import Tensor

from mml_core.clips.colours import coloured
from mml_core.config.depth import Colours
from mml_core.kinds import Scale, kind_of


def stack_length(kind: str, stack: int) -> int:
    """Return L, the items of an input frame: `stack` for kinds that are stacked, else 1."""
    return stack if kind_of(kind).stacked else 1


def input_channels(kind: str, stack: int) -> int:
    """Return the channels of an input frame: 3 for rgb and depth, 2 a field for flow, 3 a difference for diff."""
    return kind_of(kind).input_channels * stack_length(kind, stack)


def still_level(kind: str) -> int | None:
    """Return the level of every pixel where nothing moves; None for rgb and depth, which show no motion."""
    return kind_of(kind).zero_level


def normalise(levels: Tensor, kind: str, scale: Scale = "imagenet", colours: Colours = "jet") -> Tensor:
    """Return uint8 `levels` (..., C, H, W) as float32 on the same device, in a network's `scale`.

    Each channel of an item is scaled as its kind says (`mml_core.kinds`). The shape stays, but for kinds that are seen
    by a colour map, `colours`, which makes three channels of one; three of them are colours already.
    """
    if kind_of(kind).coloured and levels.shape[-3] == kind_of(kind).channels:
        levels = coloured(levels, colours)
    values = levels.to(torch.float32)
    # Channel by channel with plain numbers: a tensor of means would have to be copied to the device first.
    scales = kind_of(kind).scales[scale]
    for channel, (mean, deviation) in enumerate(scales):
        values[..., channel :: len(scales), :, :].sub_(mean).div_(deviation)
    return values
