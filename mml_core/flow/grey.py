"""Grey levels of colour frames."""

from __future__ import annotations

import torch

#: Weights of red, green and blue by ITU-R BT.601 in units of 2^-15, and the bits after the point.
_WEIGHTS, _BITS = (9798, 19235, 3735), 15


def to_grey(frames: torch.Tensor) -> torch.Tensor:
    """Return the luma (T, H, W) of RGB frames (T, 3, H, W), both uint8, on the frames' device.

    Bit by bit what OpenCV's cvtColor(…, COLOR_RGB2GRAY) gives: BT.601 in fixed point, halves rounded up.
    """
    grey = frames.new_empty((len(frames), *frames.shape[2:]))
    for frame, target in zip(frames, grey, strict=True):  # one at a time stays in the processor's cache
        total = frame[0].int().mul_(_WEIGHTS[0])
        total.add_(frame[1], alpha=_WEIGHTS[1]).add_(frame[2], alpha=_WEIGHTS[2])
        target.copy_(total.add_(1 << (_BITS - 1)).bitwise_right_shift_(_BITS))
    return grey
