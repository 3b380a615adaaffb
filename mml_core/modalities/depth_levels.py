"""From a recorded map of depth to stored levels, and which map belongs to which frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mml_core.config.depth import DepthModality
from mml_core.video.shapes import Box

RawMap = NDArray[np.uint8] | NDArray[np.uint16]
#: Levels that a file of 16 bits can have.
_RAW_LEVELS = 1 << 16
#: Level of no reading, in files and in shards.
NO_READING = 0


def level_table(settings: DepthModality) -> NDArray[np.uint8]:
    """Return the stored level, 0 to 255, of each level of a file, shape (65536,).

    0 stays 0, no reading. Millimetres from `range_mm[0]` to `range_mm[1]` are 1 to 255, rounded to the nearest (a half
    upwards); what is nearer is 1, what is farther 255.
    """
    near, far = settings.range_mm
    millimetres = np.clip(np.arange(_RAW_LEVELS) * settings.unit_mm, near, far)
    levels = np.floor(1.5 + (millimetres - near) / (far - near) * 254).astype(np.uint8)
    levels[NO_READING] = NO_READING
    return levels


def map_levels(
    raw: RawMap, table: NDArray[np.uint8], height: int, width: int, box: Box | None = None
) -> NDArray[np.uint8]:
    """Return a recorded map, or the part of it in `box`, as stored levels (height, width), by `level_table`.

    Each pixel has the level of the recorded pixel in which its middle lies: distances are not mixed.
    """
    if box is not None:
        raw = raw[box.top : box.top + box.height, box.left : box.left + box.width]
    rows, columns = nearest_pixels(raw.shape[0], height), nearest_pixels(raw.shape[1], width)
    return table[raw[rows[:, None], columns]]


def nearest_pixels(found: int, wanted: int) -> NDArray[np.int64]:
    """Return for each of `wanted` pixels in which of `found` its middle lies: floor((i + 1/2) found / wanted)."""
    return (2 * np.arange(wanted, dtype=np.int64) + 1) * found // (2 * wanted)


def nearest_maps(frames: int, frame_rate: float, maps_per_sec: float) -> list[int]:
    """Return for each of `frames` frames the number of the map that is nearest in time, of two the earlier.

    Frame t is at t / frame_rate seconds, map m at m / maps_per_sec; both rates are finite and above 0. Exact in the
    numbers that the rates are. Numbers ascend from 0, and do not know where the maps end.
    """
    ratio = Fraction(maps_per_sec) / Fraction(frame_rate)
    over, under = ratio.numerator, ratio.denominator
    return [-((under - 2 * frame * over) // (2 * under)) for frame in range(frames)]  # the ceiling of t ratio - 1/2
