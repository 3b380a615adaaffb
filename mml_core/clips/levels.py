"""From stored 8-bit levels to what networks are fed: how many channels, and in which range."""

from __future__ import annotations

import torch
from torch import Tensor

#: Mean and standard deviation of ImageNet's red, green and blue, for values in 0 … 1.
IMAGENET = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
#: Standard deviation that flow is divided by: the mean of ImageNet's three (TSM).
FLOW_DEVIATION = 0.226
#: Level of a zero displacement and of a zero difference.
ZERO_LEVEL = 128


def stack_length(kind: str, stack: int) -> int:
    """Return L, the items of an input frame: 1 for rgb, `stack` for flow and diff."""
    return 1 if kind == "rgb" else stack


def input_channels(kind: str, stack: int) -> int:
    """Return the channels of an input frame: 3 for rgb, 2 a field for flow, 3 a difference for diff."""
    match kind:
        case "rgb":
            return 3
        case "flow":
            return 2 * stack
        case "diff":
            return 3 * stack
    raise ValueError(f"unknown kind of modality: {kind!r}")


def normalise(levels: Tensor, kind: str, scale: str = "imagenet") -> Tensor:
    """Return uint8 `levels` (..., C, H, W) as float32 of the same shape, on the same device, as TSM and MML feed them.

    rgb: (level/255 - mean) / deviation of ImageNet, about -2.1 … 2.6. flow: (level - 128)/255/0.226, about ±2.2, zero
    displacement being exactly 0. diff: (level - 128) * 2/255, the difference in -1 … 1, zero being exactly 0.
    """
    values = levels.to(torch.float32)
    match kind:
        case "rgb":
            # Channel by channel with plain numbers: a tensor of means would have to be copied to the device first.
            for channel, (mean, deviation) in enumerate(IMAGENET):
                values[..., channel, :, :].sub_(255 * mean).div_(255 * deviation)
            return values
        case "flow":
            return values.sub_(ZERO_LEVEL).div_(255 * FLOW_DEVIATION)
        case "diff":
            return values.sub_(ZERO_LEVEL).mul_(2 / 255)
    raise ValueError(f"unknown kind of modality: {kind!r}")
