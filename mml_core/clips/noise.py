"""Speckle noise on what networks see in testing: I * n, n from a normal distribution about 1 (Garcia et al. 2018).

What the paper leaves open and is decided here: each number of a picture has an n of its own, channels included;
products are rounded to whole levels and end at 0 and 255, also those of a negative n. Maps of depth are multiplied as
distances, which their levels stand for, and not as levels.
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


def speckle_distances(levels: Tensor, normal: Tensor, deviation: float, range_mm: tuple[float, float]) -> Tensor:
    """Return uint8 `levels` of depth whose distances are multiplied by 1 + `deviation` * `normal`.

    Levels 1 and 255 stand for the distances `range_mm`, level 0 for no reading, which stays. Products are rounded and
    clipped to 1 … 255 as readings are; one that is no distance, 0 mm or less, is no reading.
    """
    near, far = range_mm
    zero = 1 - 254 * near / (far - near)  # the level that would stand for 0 mm
    products = normal.double().mul_(deviation).add_(1.0).mul_(levels.double() - zero)
    kept = (levels > 0) & (products > 0)
    return products.add_(zero).round_().clamp_(1, 255).where(kept, 0).to(torch.uint8)


def noisy_item(
    levels: Tensor,
    noise: NoiseConfig,
    modality: str,
    video_id: str,
    item: int,
    zero: int,
    range_mm: tuple[float, float] | None = None,
) -> Tensor:
    """Return item `item` of a video, uint8 (C, H, W), with its own noise.

    `zero` is as in `speckle`; with `range_mm` it is a map of depth, as in `speckle_distances`. The noise is the same
    whatever else is read, and where.
    """
    stream = noise_stream(noise.seed, video_id, modality, item)
    normal = torch.from_numpy(stream.standard_normal(tuple(levels.shape), dtype="float32"))
    if range_mm is not None:
        return speckle_distances(levels, normal, noise.deviation, range_mm)
    return speckle(levels, normal, noise.deviation, zero)
