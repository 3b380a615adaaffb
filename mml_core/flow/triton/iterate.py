"""The inner iterations of TV-L1, fused, up to BLOCK of them from one reading of the fields to one writing.

A warp takes a strip of 64 columns, two to a lane, and goes down its rows; rows are a pipeline. While iteration 1 is at
row r, iteration 2 is at row r - 1, and so on: iteration k makes u of row r - k + 1, for which it needs what iteration
k - 1 has just made, and then p of the row above, whose lower neighbour that was. All that is needed again, one row of
each iteration, is held in registers; rows are read and written once. Neighbours above and below are registers of the
same lane, those to the left and right the lane's other column or a shuffle away: no shared memory, no barrier.

Strips overlap by BLOCK columns on each side, where values go wrong column by column from the strip's edge inwards;
likewise tiles, which are strips cut into pieces, by rows. Only what is right is written.

Zach, Pock, Bischof 2007, eq. 12, 13 and 15; in OpenCV's form (mml_core.flow.torch.reference).
"""

# ruff: noqa: RUF005 (the frontend of Triton does not know unpacking in tuples)
from __future__ import annotations

import triton
import triton.language as tl

from mml_core.flow.triton.control import (
    ALIGNMENT,
    ENTRY,
    HEIGHT,
    LEVEL,
    PITCH,
    RECORD,
    ROWS,
    STEPS,
    STRIPS,
    TILES,
    WIDTH,
    P,
    U,
)
from mml_core.flow.triton.strips import LANES, STRIP_PX, columns, from_left, from_right, lanes_beside

#: Below this squared gradient brightness says nothing of u (OpenCV: FLT_EPSILON), and its inverse is taken as that of
#: a tiny one, so that the limits of the data step decide.
SMALLEST_SQUARED = tl.constexpr(1.1920929e-07)
INVERSE_OF_NONE = tl.constexpr(1e30)


@triton.jit
def _reciprocal(values: tl.tensor) -> tl.tensor:
    """Return 1 / values, positive, to some 2e-7 of itself: division proper takes several times as long."""
    root = tl.rsqrt(values)
    return root * root


@triton.jit
def _dual_step(p_x: tl.tensor, p_y: tl.tensor, du_x: tl.tensor, du_y: tl.tensor, dual_step: tl.tensor) -> tl.tuple:
    """Return p after the step along the gradient of u (eq. 13)."""
    scale = _reciprocal(1 + dual_step * tl.sqrt(du_x * du_x + du_y * du_y))
    return (p_x + dual_step * du_x) * scale, (p_y + dual_step * du_y) * scale


@triton.jit
def _iteration(
    now: tl.tuple, above: tl.tuple, data: tl.tuple, neighbours: tl.tuple, has_below: tl.tensor, weights: tl.tuple
) -> tl.tuple:
    """Do an iteration at a row: return (u, p) of the row above, what to hold for the next row, the change of u.

    now: (u1, u2, p11, p12, p21, p22) of this row before the iteration. above: u of the row above after it, p before it.
    data: (Ix, Iy, rho_c, 1 / |∇I|²) of this row. neighbours: indices of the lanes to the left and right; 1.0 where
    there is such a column, else 0.0. has_below: 1.0 where the row above lies in the image and this one too, else 0.0.
    """
    u1, u2, p11, p12, p21, p22 = now
    u1_above, u2_above, p11_above, p12_above, p21_above, p22_above = above
    grad_x, grad_y, rho_c, inverse = data
    left, right, has_left, has_right = neighbours
    limit, theta, dual_step = weights
    rho = rho_c + grad_x * u1 + grad_y * u2
    step = tl.minimum(tl.maximum(-rho * inverse, -limit), limit)
    div_p1 = (p11 - from_left(p11, left) * has_left) + (p12 - p12_above)
    div_p2 = (p21 - from_left(p21, left) * has_left) + (p22 - p22_above)
    new_u1 = u1 + step * grad_x + theta * div_p1
    new_u2 = u2 + step * grad_y + theta * div_p2
    u1_right = (from_right(u1_above, right) - u1_above) * has_right
    u2_right = (from_right(u2_above, right) - u2_above) * has_right
    p11_above, p12_above = _dual_step(p11_above, p12_above, u1_right, (new_u1 - u1_above) * has_below, dual_step)
    p21_above, p22_above = _dual_step(p21_above, p22_above, u2_right, (new_u2 - u2_above) * has_below, dual_step)
    changes = (new_u1 - u1, new_u2 - u2)
    finished = (u1_above, u2_above, p11_above, p12_above, p21_above, p22_above)
    return finished, (new_u1, new_u2, p11, p12, p21, p22), changes


@triton.jit
def _read(sources: tl.tuple, offset: tl.tensor, plane: tl.tensor, mask: tl.tensor) -> tl.tuple:
    """Return (u1, u2, p11, p12, p21, p22) and (Ix, Iy, rho_c) of a row, 0 where `mask` is False."""
    u, p, data = sources
    now = (
        tl.load(u + offset, mask=mask, other=0.0),
        tl.load(u + plane + offset, mask=mask, other=0.0),
        tl.load(p + offset, mask=mask, other=0.0),
        tl.load(p + plane + offset, mask=mask, other=0.0),
        tl.load(p + 2 * plane + offset, mask=mask, other=0.0),
        tl.load(p + 3 * plane + offset, mask=mask, other=0.0),
    )
    grad_x = tl.load(data + offset, mask=mask, other=0.0)
    grad_y = tl.load(data + plane + offset, mask=mask, other=0.0)
    rho_c = tl.load(data + 2 * plane + offset, mask=mask, other=0.0)
    return now, (grad_x, grad_y, rho_c)


@triton.jit
def _with_inverse(data: tl.tuple) -> tl.tuple:
    """Return (Ix, Iy, rho_c, 1 / |∇I|²) of (Ix, Iy, rho_c)."""
    grad_x, grad_y, rho_c = data
    squared = grad_x * grad_x + grad_y * grad_y
    inverse = tl.where(squared > SMALLEST_SQUARED, _reciprocal(tl.maximum(squared, SMALLEST_SQUARED)), INVERSE_OF_NONE)
    return grad_x, grad_y, rho_c, inverse


@triton.jit
def _write(targets: tl.tuple, values: tl.tuple, offset: tl.tensor, plane: tl.tensor, mask: tl.tensor) -> None:
    u, p = targets
    tl.store(u + offset, values[0], mask=mask)
    tl.store(u + plane + offset, values[1], mask=mask)
    tl.store(p + offset, values[2], mask=mask)
    tl.store(p + plane + offset, values[3], mask=mask)
    tl.store(p + 2 * plane + offset, values[4], mask=mask)
    tl.store(p + 3 * plane + offset, values[5], mask=mask)


@triton.jit
def _sweep(
    sources: tl.tuple,
    targets: tl.tuple,
    plane: tl.tensor,
    size: tl.tuple,
    tile: tl.tuple,
    weights: tl.tuple,
    COUNT: tl.constexpr,
    WARPS: tl.constexpr,
    UNROLL: tl.constexpr,
    PREFETCH: tl.constexpr,
) -> tl.tuple:
    """Do COUNT iterations on the tile of each warp; return the changes of u squared, summed by column, of each.

    sources, targets: pointers to u, p, data before, to u, p after. size: height, width, pitch of the level. tile: rows
    of each, the first row (WARPS, 1, 1), the column of each value (WARPS, LANES, 2), which columns come out right.
    """
    height, width, pitch = size
    rows, top, x, right_columns = tile
    left, right = lanes_beside(WARPS)
    neighbours = (left, right, tl.where(x > 0, 1.0, 0.0), tl.where(x < width - 1, 1.0, 0.0))
    bottom = tl.minimum(top + rows, height)
    zero = tl.zeros((WARPS, LANES, 2), tl.float32)
    held = ((zero, zero, zero, zero, zero, zero),) * COUNT
    data_held = ((zero, zero, zero, zero),) * COUNT
    changes = (zero,) * COUNT
    y = top - COUNT
    ahead = _read(sources, y * pitch + x, plane, (y >= 0) & (y < height) & (x < pitch))
    for index in tl.range(0, rows + 2 * COUNT, loop_unroll_factor=UNROLL):
        y = top - COUNT + index
        if PREFETCH:  # before the iterations at this row, which take as long as memory takes to answer
            now, read = ahead
            ahead = _read(sources, (y + 1) * pitch + x, plane, (y + 1 >= 0) & (y + 1 < height) & (x < pitch))
        else:
            now, read = _read(sources, y * pitch + x, plane, (y >= 0) & (y < height) & (x < pitch))
        data = _with_inverse(read)
        next_held = ()
        next_data = ()
        next_changes = ()
        for k in tl.static_range(COUNT):
            row = y - k
            has_below = tl.where((row > 0) & (row < height), 1.0, 0.0)
            now, hold, moved = _iteration(now, held[k], data, neighbours, has_below, weights)
            next_held = next_held + (hold,)
            next_data = next_data + (data,)
            squared = changes[k] + moved[0] * moved[0] + moved[1] * moved[1]
            next_changes = next_changes + (tl.where((row >= top) & (row < bottom), squared, changes[k]),)
            data = data_held[k]
        held = next_held
        data_held = next_data
        changes = next_changes
        row = y - COUNT
        _write(targets, now, row * pitch + x, plane, (row >= top) & (row < bottom) & right_columns & (x < pitch))
    return changes


@triton.jit(do_not_specialize=["most_tiles"])
def iterate(
    control: tl.tensor,
    levels: tl.tensor,
    order: tl.tensor,
    u: tl.tensor,
    p: tl.tensor,
    data: tl.tensor,
    changes: tl.tensor,
    plane: tl.tensor,
    limit: tl.tensor,
    theta: tl.tensor,
    dual_step: tl.tensor,
    most_tiles: tl.tensor,
    BLOCK: tl.constexpr,
    WARPS: tl.constexpr,
    UNROLL: tl.constexpr,
    PREFETCH: tl.constexpr,
) -> None:
    """Do the block of iterations that the record of each pair asks for.

    The program (i, j) is for the j-th WARPS tiles of the pair order[i].
    control, levels, order: see mml_core.flow.triton.control. u: float32 (pairs, 2 buffers, 2, plane). p: (pairs,
    2 buffers, 4, plane). data: Ix, Iy, rho_c (pairs, 3, plane). changes: sums over tiles (pairs, BLOCK, most_tiles).
    """
    pair = tl.load(order + tl.program_id(0))
    record = control + pair * RECORD
    level = tl.load(record + LEVEL)
    if level < 0:
        return
    entry = levels + level * ENTRY
    tiles = tl.load(entry + TILES)
    if tl.program_id(1) * WARPS >= tiles:
        return
    size = (tl.load(entry + HEIGHT), tl.load(entry + WIDTH), tl.load(entry + PITCH) * ALIGNMENT)
    strips, rows = tl.load(entry + STRIPS), tl.load(entry + ROWS)
    number = tl.program_id(1) * WARPS + tl.arange(0, WARPS)
    left = ((number % strips) * (STRIP_PX - 2 * BLOCK))[:, None, None]
    column = columns()
    right_columns = ((left == 0) | (column >= BLOCK)) & ((left + STRIP_PX >= size[1]) | (column < STRIP_PX - BLOCK))
    tile = (rows, (number // strips * rows)[:, None, None], left + column, right_columns)
    at = pair.to(tl.int64) * plane
    source, p_source = tl.load(record + U), tl.load(record + P)
    sources = (u + at * 4 + source * 2 * plane, p + at * 8 + p_source * 4 * plane, data + at * 3)
    targets = (u + at * 4 + (1 - source) * 2 * plane, p + at * 8 + (1 - p_source) * 4 * plane)
    counted = right_columns & (left + column < size[1])
    steps = tl.load(record + STEPS)
    for count in tl.static_range(1, BLOCK + 1):
        if steps == count:
            sums = _sweep(
                sources, targets, plane, size, tile, (limit, theta, dual_step), count, WARPS, UNROLL, PREFETCH
            )
            for k in tl.static_range(count):
                total = tl.sum(tl.sum(tl.where(counted, sums[k], 0.0), 2), 1)
                tl.store(changes + (pair * BLOCK + k) * most_tiles + number, total, mask=number < tiles)
