"""Videos in few numbers: the low frequencies of their small pictures, and how much there is besides.

Two videos that have a moment in common are rarely doubles, and to see that, their low frequencies are enough nearly
always. What the rest of two pictures can have in common at most is the product of their lengths (Cauchy-Schwarz); with
it, the low frequencies give a bound of how alike the videos are. Pairs that do not even reach the bound are passed
over, so that none is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mml_core.doubles.motion import FREQUENCIES, changes, low_frequencies, moments
from mml_core.runtime.machine_code import kept_njit

#: Least correlation of what moves in doubles.
LEAST_SIMILARITY = 0.7
#: Largest power of the difference of pictures of doubles, in powers of what moves.
LARGEST_REST = 0.9
#: Part of the shorter video that has to lie in the longer one, and how many pictures, at least (0.8 s).
LEAST_SHARE, LEAST_PICTURES = 0.6, 10
#: Shifts that are tried about that of two moments, since cut videos begin between pictures.
ABOUT = (-1, 0, 1)
#: How far bounds are kept from what they bound, which is computed in float32.
MARGIN = 0.01
#: And, of what is left of a picture, in powers of the whole picture, from which it is taken.
ROUNDING = 2e-6
#: Bytes that a picture takes here, besides its own: low frequencies, and what is left.
BYTES_A_PICTURE = 4 * (FREQUENCIES**2 + 2)

_WIDTH, _FIRST, _LAST = FREQUENCIES**2, ABOUT[0], ABOUT[-1]
#: Sums of products are in float32, one a frequency; nothing here is not finite.
compiled = kept_njit(nogil=True, fastmath=True, error_model="numpy")


class Sketches(NamedTuple):
    """Videos in few numbers, one after another: N pictures, M moments."""

    starts: np.ndarray  # (V + 1,) int64: the first picture of each video
    low: np.ndarray  # (N, 16) float32: low frequencies of the pictures
    rest: np.ndarray  # (N, 2) float32: power of the rest of the change about each picture, and of the picture
    owners: np.ndarray  # (M,) int64: video of each moment, ascending
    times: np.ndarray  # (M,) int64: number of its change in the video


def sketch(videos: Sequence[np.ndarray]) -> Sketches:
    """Return videos, each given by its pictures (T, SIDE, SIDE) uint8, in few numbers."""
    starts = np.concatenate([[0], np.cumsum([len(pictures) for pictures in videos], dtype=np.int64)])
    low = np.empty((starts[-1], _WIDTH), np.float32)
    rest = np.zeros((starts[-1], 2), np.float32)
    at = []
    for pictures, first, end in zip(videos, starts[:-1], starts[1:], strict=True):
        moved = changes(pictures)
        own = low[first:end] = low_frequencies(pictures)
        rest[first + 1 : end - 1, 0] = _power(moved) - _power((own[2:] - own[:-2])[:, 1:])
        flat = pictures.reshape(len(pictures), -1).astype(np.int32)  # sums of squares are exact
        rest[first:end, 1] = _power(flat) - flat.sum(axis=1) ** 2 / flat.shape[1] - _power(own[:, 1:])
        at.append(moments(moved))
    owners = np.repeat(np.arange(len(videos)), [len(times) for times in at])
    return Sketches(starts, low, np.maximum(rest, 0, out=rest), owners, np.concatenate([*at, owners[:0]]))


def _power(rows: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", rows, rows)


@compiled
def may_be_same(
    starts: np.ndarray, low: np.ndarray, rest: np.ndarray, a: int, b: int, signs: np.ndarray, shift: int
) -> bool:
    """Return whether videos a and b may show the same at a shift about `shift`; where they do not, they do not.

    starts, low and rest are those of the sketches; `signs` (16,) are ones, or those that mirror one of the two.
    """
    for about in range(shift + _FIRST, shift + _LAST + 1):
        if _may_be(low, rest, starts[a], starts[a + 1], starts[b], starts[b + 1], signs, about):
            return True
    return False


@compiled
def _may_be(
    low: np.ndarray,
    rest: np.ndarray,
    first_a: int,
    end_a: int,
    first_b: int,
    end_b: int,
    signs: np.ndarray,
    shift: int,
) -> bool:
    first, last = max(0, -shift), min(end_a - first_a, end_b - first_b - shift)
    if last - first < max(LEAST_PICTURES, LEAST_SHARE * min(end_a - first_a, end_b - first_b)):
        return False
    count, from_a, from_b = last - first - 2, first_a + first + 1, first_b + first + shift + 1
    moved_xy = moved_xx = moved_yy = xy = xx = yy = 0.0
    mean_x = mean_y = rest_moved_x = rest_moved_y = rest_x = rest_y = 0.0
    # about the first brightness: what differs from the mean is small beside the mean
    base_x, base_y = low[from_a, 0], low[from_b, 0]
    for t in range(count):
        x, y = from_a + t, from_b + t
        both_moved = both_x = both_y = both = of_x = of_y = np.float32(0)
        for k in range(1, _WIDTH):
            moved_x, moved_y = low[x + 1, k] - low[x - 1, k], signs[k] * (low[y + 1, k] - low[y - 1, k])
            both_moved += moved_x * moved_y
            both_x += moved_x * moved_x
            both_y += moved_y * moved_y
            both += low[x, k] * signs[k] * low[y, k]
            of_x += low[x, k] * low[x, k]
            of_y += low[y, k] * low[y, k]
        bright_x, bright_y = np.float64(low[x, 0] - base_x), np.float64(low[y, 0] - base_y)
        moved_xy, moved_xx, moved_yy = moved_xy + both_moved, moved_xx + both_x, moved_yy + both_y
        xy, xx, yy = xy + both + bright_x * bright_y, xx + of_x + bright_x**2, yy + of_y + bright_y**2
        mean_x, mean_y = mean_x + bright_x / count, mean_y + bright_y / count
        rest_moved_x, rest_moved_y = rest_moved_x + rest[x, 0], rest_moved_y + rest[y, 0]
        rest_x, rest_y = rest_x + rest[x, 1], rest_y + rest[y, 1]
    power_x, power_y = moved_xx + rest_moved_x, moved_yy + rest_moved_y
    most = moved_xy + np.sqrt(rest_moved_x * rest_moved_y)
    if most < (LEAST_SIMILARITY - MARGIN) * np.sqrt(power_x * power_y):
        return False
    var_x, var_y = xx + rest_x - count * mean_x**2, yy + rest_y - count * mean_y**2
    together = abs(xy - count * mean_x * mean_y) + np.sqrt(rest_x * rest_y)
    left = var_x - together**2 / max(var_y, 1e-6)
    return left <= (LARGEST_REST + MARGIN) * max(power_x / 2, 1e-6) + ROUNDING * var_x
