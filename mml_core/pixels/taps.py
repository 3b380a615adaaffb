"""Which pixels of an axis a resized pixel is made of, and with which weights: those of PyTorch for 8 bits."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Taps(NamedTuple):
    """Each of `side` pixels is (sum of weights[i, j] · pixel[first[i] + j] + 2^(precision - 1)) / 2^precision."""

    first: NDArray[np.int64]  # (side,)
    weights: NDArray[np.int32]  # (side, K): 0 or more; a pixel that needs fewer than K has zeros
    precision: int


@functools.lru_cache(maxsize=256)
def taps(length: int, side: int) -> Taps:
    """Return the taps of an axis of `length` pixels that is resized to `side`.

    Weights are a triangle's, two pixels wide, of the input where it is enlarged and of the output where it is made
    smaller; integers of as many bits as 16 hold. PyTorch's code for 8 bits, which took them over from Pillow, rounds
    so, and what is made of them is equal to it bit for bit (tests/test_pixels.py).
    """
    scale = length / side
    support = max(scale, 1.0)
    centre = scale * (np.arange(side) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    count = np.minimum((centre + support + 0.5).astype(np.int64), length) - first
    places = np.arange(count.max())
    distance = np.abs((places + first[:, None] - centre[:, None] + 0.5) * (1 / support))
    share = np.where(places < count[:, None], np.maximum(1 - distance, 0), 0)
    share /= np.cumsum(share, axis=1)[:, -1:]  # from left to right, as sums of float64 depend on their order
    precision = 0
    while precision < 22 and int(0.5 + share.max() * (1 << (precision + 1))) < 1 << 15:
        precision += 1
    weights = (0.5 + share * (1 << precision)).astype(np.int32)
    return _within(first, weights[:, : 1 + np.flatnonzero(weights.any(axis=0)).max()], length, precision)


def _within(first: NDArray[np.int64], weights: NDArray[np.int32], length: int, precision: int) -> Taps:
    """Move taps that would reach beyond the last pixel, where their weights are zero."""
    moved = np.zeros_like(weights)
    start = np.minimum(first, length - weights.shape[1])
    for pixel, by in enumerate(first - start):
        moved[pixel, by:] = weights[pixel, : weights.shape[1] - by]
    return Taps(start, moved, precision)
