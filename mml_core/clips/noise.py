"""Speckle noise on what networks see in testing: I * n, n from a normal distribution about 1 (Garcia et al. 2018).

What the paper leaves open and is decided here: each number of a picture has an n of its own, channels included;
products are rounded to whole levels and end at 0 and 255, also those of a negative n.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mml_core.clips.draws import noise_stream
from mml_core.config.disturbance import NoiseConfig


def speckle(levels: Tensor, normal: Tensor, deviation: float, zero: int) -> Tensor:
    """Return uint8 `levels` times 1 + `deviation` * `normal`, counted from the level `zero`, rounded, within 0 … 255.

    `normal` is float32 of the same shape, from a normal distribution of mean 0 and deviation 1. Level `zero` stays, and
    with a deviation of 0 all do.
    """
    factors = normal.mul(deviation).add_(1.0)
    return factors.mul_(levels.to(torch.float32) - zero).add_(zero).round_().clamp_(0, 255).to(torch.uint8)


def noisy_item(levels: Tensor, noise: NoiseConfig, modality: str, video_id: str, item: int, zero: int) -> Tensor:
    """Return item `item` of a video, uint8 (C, H, W), with its own noise; `zero` as in `speckle`.

    It is the same whatever else is read, and where.
    """
    stream = noise_stream(noise.seed, video_id, modality, item)
    normal = torch.from_numpy(stream.standard_normal(tuple(levels.shape), dtype="float32"))
    return speckle(levels, normal, noise.deviation, zero)
