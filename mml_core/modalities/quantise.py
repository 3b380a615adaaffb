"""Signed values as eight-bit levels: level 128 is exactly zero, so that zero survives storage.

Flow v in pixels a frame, bound b:  level = 128 + round(clip(v, -b, b) * 127 / b),  value = (level - 128) * b / 127.
Differences d of eight-bit frames:  level = 128 + round(d / 2), at most 255,  value = (level - 128) * 2.
Both round halves to even. Levels before JPEG; what JPEG adds is measured in docs/shards.md.

Convention: denseflow and the TSN family store round((v + b) * 255 / (2 b)), where zero falls between the levels 127
and 128 and a still scene gets a drift of b / 255 pixels. Here negation is exact too: 256 - level (level 1 to 255).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

#: The level that means zero, as `mml_core.kinds` has it for both.
ZERO_LEVEL = 128
#: Distance of the largest flow level from zero.
_FLOW_LEVELS = 127
#: Grey levels of a difference that one stored level stands for.
DIFF_STEP = 2


def flow_to_levels(flow: torch.Tensor, bound_px: float) -> torch.Tensor:
    """Return the levels (uint8, 1 to 255) of displacements in pixels, of any shape and on any device.

    Displacements are clipped to ±`bound_px`.

    The error of `levels_to_flow(flow_to_levels(v))` is at most bound_px / 254 within the bound.
    Raises ValueError where a displacement is not finite.
    """
    if not flow.isfinite().all():
        raise ValueError("flow holds values that are not finite")
    scaled = flow.clamp(-bound_px, bound_px).mul_(_FLOW_LEVELS / bound_px)
    return scaled.round_().add_(ZERO_LEVEL).byte()


def levels_to_flow(levels: NDArray[np.uint8], bound_px: float) -> NDArray[np.float32]:
    """Return the displacements in pixels that `levels` stand for; level 128 gives exactly 0."""
    return (levels.astype(np.float32) - ZERO_LEVEL) * np.float32(bound_px / _FLOW_LEVELS)


def difference_to_levels(difference: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the levels (0 to 255) of differences of eight-bit values (-255 to 255), of any shape.

    The error of `levels_to_difference(difference_to_levels(d))` is 1 for odd d, those that are clipped included, and 0
    for even d. So its mean square is the share of odd differences, and of a picture whose differences are all within ±1
    nothing is left.
    """
    halves = np.rint(difference / DIFF_STEP) + ZERO_LEVEL
    return np.clip(halves, 0, 255).astype(np.uint8)


def levels_to_difference(levels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the differences (-256 to 254) that `levels` stand for; level 128 gives exactly 0."""
    return (levels.astype(np.int16) - ZERO_LEVEL) * np.int16(DIFF_STEP)
