"""The median filter on processors, by networks of minima and maxima on vectors of pixels.

A window's columns are sorted once for all the windows that they are in, and merged once for the two neighbours that
share all but one of them each; of what is merged only ranks that can still be the median's are kept. To have neighbours
in the same lane, even and odd pixels of a row are kept apart. The networks are checked by their test with all inputs of
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
    even_lanes,
    lane_numbers,
    larger,
    load,
    odd_lanes,
    smaller,
    splat,
    store,
    zip_high,
    zip_low,
)
from mml_core.flow.numba.sweep import STATE_BLOCK

#: (i, j) puts the lesser of the values at i and j at i, the other at j.
Comparators = Sequence[tuple[int, int]]

#: Sorts 3 and 5 values.
SORT: dict[int, Comparators] = {
    3: ((0, 1), (1, 2), (0, 1)),
    5: ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2)),
}


def merging(first: Sequence[int], second: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return a network that merges values sorted at the places `first` and `second`, and the places in their order.

    It is Batcher's odd-even merge (Knuth, 5.3.4, figure 6).
    """
    if not first or not second:
        return [], [*first, *second]
    if len(first) == len(second) == 1:
        return [(first[0], second[0])], [first[0], second[0]]
    comparators, even = merging(first[::2], second[::2])
    more, odd = merging(first[1::2], second[1::2])
    last = [(i, j) for i, j in zip(odd, even[1:], strict=False)]
    between = [place for pair in last for place in pair] + [*odd[len(last) :], *even[1 + len(last) :]]
    return [*comparators, *more, *last], [even[0], *between]


def kept_ranks(side: int) -> range:
    """Return which values of all but one of a window's columns, in order, can be the median with any other column."""
    middle = side * side // 2
    return range(middle - side, middle + 1)


def _run(builder: ir.IRBuilder, comparators: Comparators, values: list[ir.Value]) -> None:
    for i, j in comparators:
        a, b = values[i], values[j]
        values[i] = builder.select(builder.fcmp_ordered("<", a, b), a, b)
        values[j] = builder.select(builder.fcmp_ordered(">", b, a), b, a)


def _merge(builder: ir.IRBuilder, first: list[ir.Value], second: list[ir.Value]) -> list[ir.Value]:
    values = [*first, *second]
    comparators, order = merging(range(len(first)), range(len(first), len(values)))
    _run(builder, comparators, values)
    return [values[place] for place in order]


class _Vectors:
    """Vectors of a flat array, the one of rank r at first + r · pitch."""

    def __init__(self, context: Any, builder: ir.IRBuilder, array_type: Any, array: Any) -> None:
        self._data = context.make_array(array_type)(context, builder, array).data
        self._builder = builder
        self._pointer = context.get_value_type(LANES).as_pointer()

    def _address(self, first: ir.Value, rank: int, pitch: ir.Value) -> ir.Value:
        index = self._builder.add(first, self._builder.mul(pitch, pitch.type(rank)))
        return self._builder.bitcast(self._builder.gep(self._data, [index]), self._pointer)

    def load(self, first: ir.Value, count: int, pitch: ir.Value) -> list[ir.Value]:
        return [self._builder.load(self._address(first, rank, pitch), align=4) for rank in range(count)]

    def store(self, values: Sequence[ir.Value], first: ir.Value, pitch: ir.Value) -> None:
        for rank, value in enumerate(values):
            self._builder.store(value, self._address(first, rank, pitch), align=4)


def _sort_column(side: int) -> Callable:
    @intrinsic
    def sort(typingctx: Any, lines: Any, starts: Any, x: Any, ranks: Any, at: Any, pitch: Any) -> Any:
        """Sort the vectors lines[starts[i] + x], lane by lane; write rank r to ranks[at + r · pitch]."""

        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            number = args[2].type
            source, target = (_Vectors(context, builder, sig.args[i], args[i]) for i in (0, 3))
            first = context.make_array(sig.args[1])(context, builder, args[1]).data
            starts = [builder.load(builder.gep(first, [number(i)])) for i in range(side)]
            values = [source.load(builder.add(start, args[2]), 1, number(0))[0] for start in starts]
            _run(builder, SORT[side], values)
            target.store(values, args[4], args[5])
            return context.get_dummy_value()

        return types.none(lines, starts, types.intp, ranks, types.intp, types.intp), codegen

    return sort


def _merge_columns(side: int) -> Callable:
    @intrinsic
    def merge(typingctx: Any, ranks: Any, left: Any, right: Any, pitch: Any, pairs: Any, at: Any, step: Any) -> Any:
        """Merge the sorted columns at `left` and `right` of `ranks`; write rank r to pairs[at + r · step]."""

        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            source, target = (_Vectors(context, builder, sig.args[i], args[i]) for i in (0, 4))
            columns = [source.load(args[i], side, args[3]) for i in (1, 2)]
            target.store(_merge(builder, *columns), args[5], args[6])
            return context.get_dummy_value()

        return types.none(ranks, types.intp, types.intp, types.intp, pairs, types.intp, types.intp), codegen

    return merge


def _medians(side: int) -> Callable:
    """Make a function of (parts, a, b, pitch, ranks, left, right, rank_pitch) that returns medians of two windows.

    What is sorted at a and b of `parts` are the columns that both have; the left one has that at `left` of `ranks` too,
    the right one that at `right`.
    """
    kept = kept_ranks(side)

    @intrinsic
    def medians(
        typingctx: Any, parts: Any, a: Any, b: Any, pitch: Any, ranks: Any, left: Any, right: Any, rank_pitch: Any
    ) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            shared, columns = (_Vectors(context, builder, sig.args[i], args[i]) for i in (0, 4))
            count = side * (side - 1) // 2
            core = _merge(builder, *(shared.load(args[i], count, args[3]) for i in (1, 2)))[kept.start : kept.stop]
            own = [_merge(builder, core, columns.load(args[i], side, args[7])) for i in (5, 6)]
            return context.make_tuple(builder, sig.return_type, [values[side] for values in own])

        index = types.intp
        return types.UniTuple(LANES, 2)(parts, index, index, index, ranks, index, index, index), codegen

    return medians


def _make_median(side: int) -> Callable:
    """Make a function that filters a field of the state (see mml_core.flow.numba.sweep) in place, edges replicated.

    Its arguments: state; field, 0 or 1; height, width, at least `side`; scratch: float32, `median_floats(width)`.
    """
    sort_column, merge_columns, medians = _sort_column(side), _merge_columns(side), _medians(side)
    radius = side // 2

    @compiled
    def median(state: Floats, field: int, height: int, width: int, scratch: Floats) -> None:
        blocks = (width + WIDTH - 1) // WIDTH
        half = (blocks + 1) // 2 * WIDTH  # even pixels of a row, and as many odd ones
        part = half + 2 * WIDTH  # the same with room for columns outside the image
        pitch = 2 * part
        lines, ranks = scratch[: side * 2 * half], scratch[side * 2 * half : side * (2 * half + pitch)]
        pairs = scratch[side * (2 * half + pitch) :]
        even, odd = WIDTH, part + WIDTH
        starts = np.empty(side, np.int64)
        one, zero = splat(np.float32(1)), splat(np.float32(0))
        inside = larger(smaller(splat(np.float32(width - (blocks - 1) * WIDTH)) - lane_numbers(), one), zero)
        row_floats = blocks * STATE_BLOCK
        copied = 0
        for row in range(height):
            while copied < min(row + radius + 1, height):  # rows above are kept: here they are filtered already
                _copy_row(state, copied * row_floats + field * WIDTH, blocks, lines, copied % side * 2 * half, half)
                copied += 1
            for i in range(side):
                starts[i] = min(max(row + i - radius, 0), height - 1) % side * 2 * half
            for x in range(0, 2 * half, WIDTH):
                sort_column(lines, starts, x, ranks, x + (even if x < half else odd - half), pitch)
            for rank in range(side):
                start = rank * pitch
                last = ranks[start + (even if width % 2 else odd) + (width - 1) // 2]
                ranks[start + even - 1] = ranks[start + odd - 1] = ranks[start + even]
                for x in range(width, width + radius):
                    ranks[start + (odd if x % 2 else even) + x // 2] = last
            if side == 5:
                for x in range(0, (width + 1) // 2 + 1, WIDTH):
                    merge_columns(ranks, odd + x - 1, even + x, pitch, pairs, x, part)
            s = row * row_floats + field * WIDTH
            for x in range(0, half, WIDTH):
                if side == 5:
                    left, right = medians(pairs, x, x + 1, part, ranks, even + x - 1, odd + x + 1, pitch)
                else:
                    left, right = medians(ranks, even + x, odd + x, pitch, ranks, odd + x - 1, even + x + 1, pitch)
                store(state, s, zip_low(left, right))
                if 2 * x + WIDTH < width:
                    store(state, s + STATE_BLOCK, zip_high(left, right))
                s += 2 * STATE_BLOCK
            s = row * row_floats + (blocks - 1) * STATE_BLOCK + field * WIDTH
            store(state, s, inside * load(state, s))

    return median


@compiled
def _copy_row(state: Floats, s: int, blocks: int, lines: Floats, at: int, half: int) -> None:
    """Copy a field of a row at s: its even pixels to lines[at], its odd ones `half` further on."""
    for block in range(0, blocks, 2):
        left = load(state, s + block * STATE_BLOCK)
        right = load(state, s + min(block + 1, blocks - 1) * STATE_BLOCK)
        store(lines, at, even_lanes(left, right))
        store(lines, at + half, odd_lanes(left, right))
        at += WIDTH


def median_floats(width: int) -> int:
    """Return how many float32 a median of images of `width` pixels needs beside them."""
    half = (-(-width // WIDTH) + 1) // 2 * WIDTH
    return 10 * half + 20 * (half + 2 * WIDTH)


median_3 = _make_median(3)
median_5 = _make_median(5)
