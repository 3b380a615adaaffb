"""Bilinear resizing on processors, for pyramids and for taking a flow to the next finer level."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from mml_core.runtime.machine_code import kept_njit


class Taps(NamedTuple):
    """Where the samples along an axis lie: sample = first + (second - first) · share."""

    first: np.ndarray  # int64 (samples,): index of the pixel on the left
    second: np.ndarray  # int64 (samples,): and of the one on the right
    share: np.ndarray  # float32 (samples,): 0 to 1


@functools.lru_cache(maxsize=64)
def taps(length: int, samples: int, step: float | None, *, corners: bool) -> Taps:
    """Return the taps of `samples` samples of an axis of `length` pixels.

    step: size ratio that gives the spacing of the samples; None: the ratio of the sizes.
    corners: whether the first sample lies on the centre of the first pixel, as in OpenCV's CUDA module, instead of
    the images' corners coinciding, as in cv2.resize with INTER_LINEAR (mml_core/flow/torch/primitives.py has more).
    """
    spacing = length / samples if step is None else 1 / step
    if corners:
        position = np.minimum(np.arange(samples, dtype=np.float32) * np.float32(spacing), np.float32(length - 1))
        first = np.floor(position)
    else:
        position = (np.arange(samples) + 0.5) * spacing - 0.5
        first = np.clip(np.floor(position), 0, length - 2 if spacing > 1 else length - 1)
    share = np.clip(position - first, 0, 1).astype(np.float32)
    index = first.astype(np.int64)
    return Taps(index, np.minimum(index + 1, length - 1), share)


@kept_njit(nogil=True, error_model="numpy", fastmath={"contract"})
def resize(image: np.ndarray, columns: Taps, rows: Taps, between: np.ndarray, out: np.ndarray) -> None:
    """Resize `image` (H, W) to `out` (h, w), float32, with the taps of both axes; between: float32 (H, w), scratch.

    Fused multiplication and addition, where the processor has it, makes it equal to cv2.resize to the last bit.
    """
    first, second, share = columns
    for y in range(image.shape[0]):
        for x in range(first.shape[0]):
            left = image[y, first[x]]
            between[y, x] = left + (image[y, second[x]] - left) * share[x]
    first, second, share = rows
    for y in range(first.shape[0]):
        upper, lower, part = between[first[y]], between[second[y]], share[y]
        for x in range(upper.shape[0]):
            out[y, x] = upper[x] + (lower[x] - upper[x]) * part
