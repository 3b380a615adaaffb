"""The median of u around each pixel: a network of minima and maxima, exact, edges replicated."""

# ruff: noqa: RUF005 (the frontend of Triton does not know unpacking in tuples)
from __future__ import annotations

import triton
import triton.language as tl

from mml_core.flow.torch.primitives import median_network
from mml_core.flow.triton.control import ALIGNMENT, ENTRY, HEIGHT, LEVEL, PITCH, RECORD, SMOOTH, WIDTH, U
from mml_core.flow.triton.strips import LANES, STRIP_PX, columns, from_left, from_right, lanes_beside

#: Steps (low, high) after which the median of 9 and of 25 values in sorted columns is known, and where it is.
_STEPS_3 = tl.constexpr(tuple((low, high) for low, high, _, _ in median_network(3)[0]))
_STEPS_5 = tl.constexpr(tuple((low, high) for low, high, _, _ in median_network(5)[0]))
_LENGTH_3 = tl.constexpr(len(median_network(3)[0]))
_LENGTH_5 = tl.constexpr(len(median_network(5)[0]))
_MIDDLE_3 = tl.constexpr(median_network(3)[1])
_MIDDLE_5 = tl.constexpr(median_network(5)[1])


@triton.jit
def _ordered(values: tl.tuple, low: tl.constexpr, high: tl.constexpr) -> tl.tuple:
    """Return `values` with the lesser of two at `low`, the greater at `high`; the compiler drops what is not needed."""
    lesser = tl.minimum(values[low], values[high])
    greater = tl.maximum(values[low], values[high])
    return values[:low] + (lesser,) + values[low + 1 : high] + (greater,) + values[high + 1 :]


@triton.jit
def _median(rows: tl.tuple, beside: tl.tuple, SIDE: tl.constexpr) -> tl.tensor:
    """Return the median of the SIDE x SIDE values around the middle of `rows`."""
    left, right = beside
    for end in tl.static_range(SIDE - 1):  # sort the columns
        for r in tl.static_range(SIDE - 1 - end):
            rows = _ordered(rows, r, r + 1)
    values = ()
    for r in tl.static_range(SIDE):
        here = rows[r]
        to_left = from_left(here, left)
        to_right = from_right(here, right)
        if SIDE == 5:
            values = values + (from_left(to_left, left), to_left, here, to_right, from_right(to_right, right))
        else:
            values = values + (to_left, here, to_right)
    if SIDE == 5:
        for step in tl.static_range(_LENGTH_5):
            values = _ordered(values, _STEPS_5[step][0], _STEPS_5[step][1])
        return values[_MIDDLE_5]
    else:
        for step in tl.static_range(_LENGTH_3):
            values = _ordered(values, _STEPS_3[step][0], _STEPS_3[step][1])
        return values[_MIDDLE_3]


@triton.jit
def smooth(
    control: tl.tensor,
    levels: tl.tensor,
    order: tl.tensor,
    u: tl.tensor,
    plane: tl.tensor,
    SIDE: tl.constexpr,
    ROWS: tl.constexpr,
    WARPS: tl.constexpr,
) -> None:
    """Filter u of each pair whose record asks for it; the program (i, j, c) is for part j of component c of order[i].

    A part is WARPS strips, ROWS high. Else as in mml_core.flow.triton.iterate.
    """
    pair = tl.load(order + tl.program_id(0))
    record = control + pair * RECORD
    if tl.load(record + SMOOTH) == 0:
        return
    entry = levels + tl.load(record + LEVEL) * ENTRY
    height, width, pitch = tl.load(entry + HEIGHT), tl.load(entry + WIDTH), tl.load(entry + PITCH) * ALIGNMENT
    margin = SIDE // 2
    strips = tl.cdiv(width, STRIP_PX - 2 * margin)
    number = tl.program_id(1) * WARPS + tl.arange(0, WARPS)
    top = (number // strips * ROWS)[:, None, None]
    if tl.program_id(1) * WARPS // strips * ROWS >= height:
        return
    column = columns()
    x = ((number % strips) * (STRIP_PX - 2 * margin) - margin)[:, None, None] + column
    right_columns = (column >= margin) & (column < STRIP_PX - margin) & (x < width)
    at = pair.to(tl.int64) * 4 + tl.program_id(2)
    buffer = tl.load(record + U)
    source = u + (at + (1 - buffer) * 2) * plane + tl.minimum(tl.maximum(x, 0), width - 1)
    target = u + (at + buffer * 2) * plane + x
    beside = lanes_beside(WARPS)
    zero = tl.zeros((WARPS, LANES, 2), tl.float32)
    rows = (zero,) * SIDE
    for index in range(ROWS + 2 * margin):
        y = top - margin + index
        rows = rows[1:] + (tl.load(source + tl.minimum(tl.maximum(y, 0), height - 1) * pitch),)
        row = y - margin
        if index >= 2 * margin:
            mask = right_columns & (row >= top) & (row < height)
            tl.store(target + row * pitch, _median(rows, beside, SIDE), mask=mask)
