"""Differences of frames as levels, in one pass over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mml_core.pixels.vectors import LANES, halve_difference
from mml_core.runtime.machine_code import kept_njit


def can_subtract(frame: NDArray[np.uint8]) -> bool:
    """Return whether `difference_into` takes `frame` (C, H, W): a view of (H, W, C), of enough bytes a row."""
    channels, _, width = frame.shape
    return frame.strides[0] == 1 and frame.strides[2] == channels and channels * width >= LANES


def difference_into(earlier: NDArray[np.uint8], later: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Set `out` (H, W, C), contiguous, to the levels of `later` less `earlier`, (C, H, W), which `can_subtract`.

    They are those of `mml_core.shards.differences.pair_levels`.
    """
    _subtract(earlier.ctypes.data, earlier.strides[1], later.ctypes.data, later.strides[1], out)


@kept_njit(nogil=True, error_model="numpy")
def _subtract(earlier: int, earlier_stride: int, later: int, later_stride: int, out: np.ndarray) -> None:
    """Subtract rows, which begin at two addresses and lie so many bytes apart."""
    height, width, channels = out.shape
    length = width * channels
    for row in range(height):
        first, second = earlier + row * earlier_stride, later + row * later_stride
        for begin in range(0, length, LANES):
            x = min(begin, length - LANES)
            halve_difference(first + x, second + x, out, row * length + x)
