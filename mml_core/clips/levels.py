"""From stored 8-bit levels to what networks are fed: how many channels, and in which range."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

#: Ranges that networks take their inputs in.
Scale = Literal["imagenet", "activitynet", "unit"]

#: Mean and standard deviation of ImageNet's red, green and blue, for values in 0 … 1.
IMAGENET = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
#: Standard deviation that flow is divided by: the mean of ImageNet's three (TSM).
FLOW_DEVIATION = 0.226
#: Mean of ActivityNet's red, green and blue, for values in 0 … 255 (3D-ResNets, MARS), and what stands for it in flow.
ACTIVITYNET = (114.7748, 107.7354, 99.4750)
ACTIVITYNET_FLOW = 127.5
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


def still_level(kind: str) -> int | None:
    """Return the level of every pixel where nothing moves; None for rgb, which shows pictures and no motion."""
    return None if kind == "rgb" else ZERO_LEVEL


def normalise(levels: Tensor, kind: str, scale: Scale = "imagenet") -> Tensor:
    """Return uint8 `levels` (..., C, H, W) as float32 of the same shape, on the same device, in a network's `scale`.

    imagenet, as TSM and MML feed them. rgb: (level/255 - mean) / deviation of ImageNet, about -2.1 … 2.6. flow:
    (level - 128)/255/0.226, about ±2.2. diff: (level - 128) * 2/255, the difference in -1 … 1.

    activitynet, as MARS's published weights take them. rgb: level less ActivityNet's mean, about -115 … 156. flow:
    level - 127.5. Zero flow is stored as level 128 here, and is therefore 0.5, which stands for 0.08 px at ±20 px;
    where those weights were trained it was 127, and therefore -0.5. diff, which they do not know: level - 128.

    unit. rgb: 2 level/255 - 1. flow and diff: (level - 128)/127, at least -1, so that ±1 is the bound of the flow and
    the largest difference.

    Zero displacement and zero difference are exactly 0, but for flow in activitynet.
    """
    if kind not in ("rgb", "flow", "diff"):
        raise ValueError(f"unknown kind of modality: {kind!r}")
    values = levels.to(torch.float32)
    match scale:
        case "imagenet":
            return _as_imagenet(values, kind)
        case "activitynet":
            return _as_activitynet(values, kind)
        case "unit":
            if kind == "rgb":
                return values.mul_(2 / 255).sub_(1)
            return values.sub_(ZERO_LEVEL).div_(ZERO_LEVEL - 1).clamp_(min=-1)


def _as_imagenet(values: Tensor, kind: str) -> Tensor:
    if kind == "flow":
        return values.sub_(ZERO_LEVEL).div_(255 * FLOW_DEVIATION)
    if kind == "diff":
        return values.sub_(ZERO_LEVEL).mul_(2 / 255)
    # Channel by channel with plain numbers: a tensor of means would have to be copied to the device first.
    for channel, (mean, deviation) in enumerate(IMAGENET):
        values[..., channel, :, :].sub_(255 * mean).div_(255 * deviation)
    return values


def _as_activitynet(values: Tensor, kind: str) -> Tensor:
    if kind != "rgb":
        return values.sub_(ACTIVITYNET_FLOW if kind == "flow" else ZERO_LEVEL)
    for channel, mean in enumerate(ACTIVITYNET):
        values[..., channel, :, :].sub_(mean)
    return values
