"""Strips of 64 columns, two to each lane of a warp: tensors (warps, LANES, 2), so that neighbours are in registers.

Column 2 · lane + k of a strip is value [:, lane, k]: its neighbours are the lane's own other value, and one that a
shuffle fetches from the next lane.
"""

from __future__ import annotations

import triton
import triton.language as tl

LANES = tl.constexpr(32)
STRIP_PX = tl.constexpr(64)


@triton.jit
def columns() -> tl.tensor:
    """Return the column of each value in its strip, (1, LANES, 2)."""
    return tl.arange(0, LANES)[None, :, None] * 2 + tl.arange(0, 2)[None, None, :]


@triton.jit
def lanes_beside(WARPS: tl.constexpr) -> tl.tuple:
    """Return the indices of the lanes to the left and to the right, (WARPS, LANES); beyond the ends, of the end."""
    lane = tl.arange(0, LANES)[None, :] + tl.zeros((WARPS, 1), tl.int32)
    return tl.maximum(lane - 1, 0), tl.minimum(lane + 1, LANES - 1)


@triton.jit
def from_left(values: tl.tensor, left: tl.tensor) -> tl.tensor:
    """Return each column's left neighbour; what the first column of a strip gets is no neighbour."""
    even, odd = tl.split(values)
    return tl.join(tl.gather(odd, left, 1), even)


@triton.jit
def from_right(values: tl.tensor, right: tl.tensor) -> tl.tensor:
    """Return each column's right neighbour; what the last column of a strip gets is no neighbour."""
    even, odd = tl.split(values)
    return tl.join(odd, tl.gather(even, right, 1))
