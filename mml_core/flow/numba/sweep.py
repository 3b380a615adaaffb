"""The inner iterations of TV-L1 on processors, fused: one pass over the image is one or more iterations.

Storage: a row is cut into blocks of `WIDTH` pixels, and a block holds the fields that an iteration needs side by side,
so that a pass reads two streams and writes one, whatever the number of fields:

    state   [row][block][u1 u2 p11 p12 p21 p22][lane]
    data    [row][block][Ix Iy rho -1/|grad|^2][lane]

Lanes to the right of the image hold zeros in both, and stay zero.
"""

from __future__ import annotations

import numpy as np

from mml_core.flow.numba.lanes import (
    WIDTH,
    Floats,
    Lanes,
    compiled,
    damping,
    first_lane,
    lane_numbers,
    larger,
    load,
    next_lanes,
    previous_lanes,
    rotate_1,
    rotate_2,
    rotate_4,
    rotate_8,
    smaller,
    splat,
    store,
)

STATE_FIELDS = 6
DATA_FIELDS = 4
STATE_BLOCK = STATE_FIELDS * WIDTH
DATA_BLOCK = DATA_FIELDS * WIDTH
#: Keeps the root of a sum of squares away from zero without a branch; far below a square of what float32 flow resolves.
TINY = np.float32(1e-30)


@compiled
def _primal(
    state: Floats,
    data: Floats,
    s: int,
    d: int,
    left1: Lanes,
    left2: Lanes,
    up1: Lanes,
    up2: Lanes,
    error: Lanes,
    lt: Lanes,
    theta: Lanes,
) -> tuple[Lanes, Lanes, Lanes, Lanes, Lanes]:
    """Return the new flow of a block, and the squared changes added to `error` (Sánchez et al., IPOL 2013, eq. 10-14).

    s, d: of the block in state and data; left1, left2: p11, p21 of the block on the left; up1, up2: p12, p22 above.
    """
    u1 = load(state, s)
    u2 = load(state, s + WIDTH)
    p11 = load(state, s + 2 * WIDTH)
    p21 = load(state, s + 4 * WIDTH)
    ix = load(data, d)
    iy = load(data, d + WIDTH)
    rho = load(data, d + 2 * WIDTH) + (ix * u1 + iy * u2)
    step = larger(smaller(rho * load(data, d + 3 * WIDTH), lt), -lt)
    div1 = (p11 - previous_lanes(left1, p11)) + (load(state, s + 3 * WIDTH) - up1)
    div2 = (p21 - previous_lanes(left2, p21)) + (load(state, s + 5 * WIDTH) - up2)
    new1 = (u1 + step * ix) + theta * div1
    new2 = (u2 + step * iy) + theta * div2
    change1 = new1 - u1
    change2 = new2 - u2
    return new1, new2, error + change1 * change1 + change2 * change2, p11, p21


@compiled
def _dual(p1: Lanes, p2: Lanes, gx: Lanes, gy: Lanes, taut: Lanes) -> tuple[Lanes, Lanes]:
    """Return the new dual vector of one component, from the forward differences of its flow (IPOL 2013, eq. 15)."""
    scale = damping(gx * gx + (gy * gy + splat(TINY)), taut)
    return (p1 + taut * gx) * scale, (p2 + taut * gy) * scale


@compiled
def _dual_block(
    src: Floats,
    dst: Floats,
    above: int,
    here1: Lanes,
    here2: Lanes,
    right1: Lanes,
    right2: Lanes,
    below1: Lanes,
    below2: Lanes,
    p12: Lanes,
    p22: Lanes,
    taut: Lanes,
) -> None:
    """Update the dual vectors of the block at `above`: here, right, below are the new flow there and beside it."""
    p11, p12 = _dual(load(src, above + 2 * WIDTH), p12, right1 - here1, below1 - here1, taut)
    p21, p22 = _dual(load(src, above + 4 * WIDTH), p22, right2 - here2, below2 - here2, taut)
    store(dst, above + 2 * WIDTH, p11)
    store(dst, above + 3 * WIDTH, p12)
    store(dst, above + 4 * WIDTH, p21)
    store(dst, above + 5 * WIDTH, p22)


@compiled
def _inside(here: Lanes, right: Lanes, inner: Lanes) -> Lanes:
    """Return the flow on the right, which at the image's last column is its own: the difference there is zero."""
    return here + inner * (right - here)


@compiled
def _first_row(src: Floats, dst: Floats, data: Floats, s: int, blocks: int, lt: Lanes, theta: Lanes) -> Lanes:
    zero = splat(np.float32(0))
    left1, left2, error = zero, zero, zero
    d = 0
    for _ in range(blocks):
        new1, new2, error, left1, left2 = _primal(src, data, s, d, left1, left2, zero, zero, error, lt, theta)
        store(dst, s, new1)
        store(dst, s + WIDTH, new2)
        s += STATE_BLOCK
        d += DATA_BLOCK
    return error


@compiled
def _next_row(
    src: Floats,
    dst: Floats,
    data: Floats,
    s: int,
    above: int,
    d: int,
    blocks: int,
    lt: Lanes,
    theta: Lanes,
    taut: Lanes,
    inner: Lanes,
) -> Lanes:
    """Update the flow of a row, and the dual vectors of the row above, a block behind: independent, side by side."""
    zero = splat(np.float32(0))
    p12, p22 = load(src, above + 3 * WIDTH), load(src, above + 5 * WIDTH)
    below1, below2, error, left1, left2 = _primal(src, data, s, d, zero, zero, p12, p22, zero, lt, theta)
    store(dst, s, below1)
    store(dst, s + WIDTH, below2)
    here1, here2 = load(dst, above), load(dst, above + WIDTH)
    for _ in range(blocks - 1):
        s += STATE_BLOCK
        d += DATA_BLOCK
        q12, q22 = load(src, above + STATE_BLOCK + 3 * WIDTH), load(src, above + STATE_BLOCK + 5 * WIDTH)
        new1, new2, error, left1, left2 = _primal(src, data, s, d, left1, left2, q12, q22, error, lt, theta)
        store(dst, s, new1)
        store(dst, s + WIDTH, new2)
        after1, after2 = load(dst, above + STATE_BLOCK), load(dst, above + STATE_BLOCK + WIDTH)
        right1, right2 = next_lanes(here1, after1), next_lanes(here2, after2)
        _dual_block(src, dst, above, here1, here2, right1, right2, below1, below2, p12, p22, taut)
        here1, here2, below1, below2, p12, p22 = after1, after2, new1, new2, q12, q22
        above += STATE_BLOCK
    right1, right2 = _inside(here1, next_lanes(here1, zero), inner), _inside(here2, next_lanes(here2, zero), inner)
    _dual_block(src, dst, above, here1, here2, right1, right2, below1, below2, p12, p22, taut)
    return error


@compiled
def _last_row(src: Floats, dst: Floats, above: int, blocks: int, taut: Lanes, inner: Lanes) -> None:
    """Update the dual vectors of the image's last row, below which the flow does not change."""
    zero = splat(np.float32(0))
    here1, here2 = load(dst, above), load(dst, above + WIDTH)
    for block in range(blocks):
        last = block == blocks - 1
        after1 = here1 if last else load(dst, above + STATE_BLOCK)
        after2 = here2 if last else load(dst, above + STATE_BLOCK + WIDTH)
        right1, right2 = next_lanes(here1, after1), next_lanes(here2, after2)
        if last:
            right1, right2 = _inside(here1, right1, inner), _inside(here2, right2, inner)
        _dual_block(src, dst, above, here1, here2, right1, right2, here1, here2, zero, zero, taut)
        here1, here2 = after1, after2
        above += STATE_BLOCK


@compiled
def _sum_lanes(a: Lanes) -> np.float32:
    a = a + rotate_8(a)
    a = a + rotate_4(a)
    a = a + rotate_2(a)
    return first_lane(a + rotate_1(a))


@compiled
def _inner_lanes(width: int) -> Lanes:
    """Return 1 in the lanes of a row's last block which are left of the image's last column, otherwise 0."""
    column = splat(np.float32(width - 1 - (width - 1) // WIDTH * WIDTH))
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    return larger(smaller(column - lane_numbers(), one), zero)


@compiled
def sweep(
    src: Floats,
    dst: Floats,
    data: Floats,
    height: int,
    width: int,
    count: int,
    errors: np.ndarray,
    lt: np.float32,
    theta: np.float32,
    taut: np.float32,
) -> None:
    """Do `count` iterations in one pass over the image, each a row behind the one before it.

    src: state before, dst: state after, which may be the same; errors: sum of squared changes of each iteration, out.
    """
    blocks = (width + WIDTH - 1) // WIDTH
    pitch, data_pitch = blocks * STATE_BLOCK, blocks * DATA_BLOCK
    lt, theta, taut = splat(lt), splat(theta), splat(taut)
    inner = _inner_lanes(width)
    errors[:count] = 0.0
    for front in range(height + count):
        for stage in range(count):
            row = front - stage
            if row < 0 or row > height:
                continue
            source = src if stage == 0 else dst
            s = row * pitch
            if row == 0:
                error = _first_row(source, dst, data, s, blocks, lt, theta)
            elif row < height:
                error = _next_row(source, dst, data, s, s - pitch, row * data_pitch, blocks, lt, theta, taut, inner)
            else:
                _last_row(source, dst, s - pitch, blocks, taut, inner)
                continue
            errors[stage] += _sum_lanes(error)
