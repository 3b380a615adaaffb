"""The median filter on processors, by networks of minima and maxima on vectors of pixels.

The columns of a window are sorted once for all the windows that they are in; then what is of equal rank in its column
is sorted, and most values cannot be the median any more. The networks are checked by their test with all inputs of
zeros and ones, which is enough (Knuth, The Art of Computer Programming 3, 5.3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from mml_core.flow.numba.lanes import (
    LANES,
    WIDTH,
    Floats,
    compiled,
    lane_numbers,
    larger,
    load,
    smaller,
    splat,
    store,
)
from mml_core.flow.numba.sweep import STATE_BLOCK

Comparators = Sequence[tuple[int, int]]

#: Sorts 3 and 5 values.
SORT: dict[int, Comparators] = {
    3: ((0, 1), (1, 2), (0, 1)),
    5: ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2)),
}
#: Bring the median of a matrix that is sorted along rows and columns to its middle; (row, column) is 5 · row + column.
_MIDDLE_3: Comparators = ((2, 4), (4, 6), (2, 4))
_MIDDLE_5: Comparators = (
    *((3, 16), (8, 21), (8, 15), (13, 20), (7, 13), (4, 11), (9, 16), (9, 13)),
    *((11, 17), (12, 15), (13, 15), (9, 12), (11, 13), (12, 13), (11, 12)),
)


def median_comparators(side: int) -> Comparators:
    """Return a network on the side² values of a window (index: row · side + column) that are sorted by columns.

    Comparator (i, j) puts the lesser of values i and j at i; in the end the middle value is the median.
    """
    rows = [(side * row + i, side * row + j) for row in range(side) for i, j in SORT[side]]
    return (*rows, *(_MIDDLE_3 if side == 3 else _MIDDLE_5))


def _run(builder: ir.IRBuilder, comparators: Comparators, values: list[ir.Value]) -> None:
    for i, j in comparators:
        a, b = values[i], values[j]
        values[i] = builder.select(builder.fcmp_ordered("<", a, b), a, b)
        values[j] = builder.select(builder.fcmp_ordered(">", b, a), b, a)


def _at(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, index: ir.Value) -> ir.Value:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), context.get_value_type(LANES).as_pointer())


def _sort_column(side: int) -> Callable:
    @intrinsic
    def sort(typingctx: Any, lines: Any, starts: Any, x: Any, ranks: Any, rank_pitch: Any) -> Any:
        """Sort the vectors lines[starts[i] + x], lane by lane; write rank r to ranks[r · rank_pitch + WIDTH + x]."""

        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            number = args[2].type
            first = context.make_array(sig.args[1])(context, builder, args[1]).data
            values = []
            for i in range(side):
                start = builder.load(builder.gep(first, [number(i)]))
                values.append(builder.load(_at(context, builder, sig.args[0], args[0], builder.add(start, args[2]))))
                values[-1].align = 4
            _run(builder, SORT[side], values)
            for rank, value in enumerate(values):
                index = builder.add(builder.mul(args[4], number(rank)), builder.add(args[2], number(WIDTH)))
                builder.store(value, _at(context, builder, sig.args[3], args[3], index), align=4)
            return context.get_dummy_value()

        return types.none(lines, starts, types.intp, ranks, types.intp), codegen

    return sort


def _median_of_window(side: int) -> Callable:
    @intrinsic
    def median(typingctx: Any, ranks: Any, x: Any, rank_pitch: Any) -> Any:
        """Return the medians of the windows around the pixels of the vector at column x."""

        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            number = args[1].type
            values = []
            for i in range(side * side):
                column = builder.add(args[1], number(WIDTH + i % side - side // 2))
                index = builder.add(builder.mul(args[2], number(i // side)), column)
                values.append(builder.load(_at(context, builder, sig.args[0], args[0], index)))
                values[-1].align = 4
            _run(builder, median_comparators(side), values)
            return values[side * side // 2]

        return LANES(ranks, types.intp, types.intp), codegen

    return median


def _make_median(side: int) -> Callable:
    """Make a function that filters a field of the state (see mml_core.flow.numba.sweep) in place, edges replicated.

    Its arguments: state; field, 0 or 1; height, width, at least `side`; scratch: float32, `median_floats(width)`.
    """
    sort_column, median_of_window = _sort_column(side), _median_of_window(side)
    radius = side // 2

    @compiled
    def median(state: Floats, field: int, height: int, width: int, scratch: Floats) -> None:
        row_floats = (width + WIDTH - 1) // WIDTH * STATE_BLOCK
        pitch = (width + WIDTH - 1) // WIDTH * WIDTH
        lines, ranks, rank_pitch = scratch[: side * pitch], scratch[side * pitch :], pitch + 2 * WIDTH
        starts = np.empty(side, np.int64)
        one, zero = splat(np.float32(1)), splat(np.float32(0))
        copied = 0
        for row in range(height):
            while copied < min(row + radius + 1, height):  # rows above are kept: here they are filtered already
                _copy_row(state, copied * row_floats + field * WIDTH, pitch, lines, copied % side * pitch)
                copied += 1
            for i in range(side):
                starts[i] = min(max(row + i - radius, 0), height - 1) % side * pitch
            for x in range(0, pitch, WIDTH):
                sort_column(lines, starts, x, ranks, rank_pitch)
            for rank in range(side):
                left = rank * rank_pitch + WIDTH
                for x in range(radius):
                    ranks[left - 1 - x] = ranks[left]
                    ranks[left + width + x] = ranks[left + width - 1]
            s = row * row_floats + field * WIDTH
            for x in range(0, pitch, WIDTH):
                inside = larger(smaller(splat(np.float32(width - x)) - lane_numbers(), one), zero)
                store(state, s, inside * median_of_window(ranks, x, rank_pitch))
                s += STATE_BLOCK

    return median


@compiled
def _copy_row(state: Floats, s: int, pitch: int, lines: Floats, at: int) -> None:
    for x in range(at, at + pitch, WIDTH):
        store(lines, x, load(state, s))
        s += STATE_BLOCK


def median_floats(width: int) -> int:
    """Return how many float32 a median of images of `width` pixels needs beside them."""
    return 10 * (width + 3 * WIDTH)


median_3 = _make_median(3)
median_5 = _make_median(5)
