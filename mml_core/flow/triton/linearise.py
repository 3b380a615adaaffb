"""The beginning of a warp: the second image and its gradient where u leads, and the part of rho that u does not change.

With the first warp of a level also the level's u, enlarged from that of the coarser level, and its p, which is 0.
"""

# ruff: noqa: RUF005 (the frontend of Triton does not know unpacking in tuples)
from __future__ import annotations

import triton
import triton.language as tl

from mml_core.flow.triton.control import (
    ALIGNMENT,
    ENLARGE,
    ENTRY,
    HEIGHT,
    LEVEL,
    LINEARISE,
    PITCH,
    PIXELS,
    RECORD,
    SAMPLES,
    SMOOTH,
    WIDTH,
    P,
    U,
)


@triton.jit
def _near(t: tl.tensor, CUBIC: tl.constexpr) -> tl.tensor:
    """Return the weight of a tap at a distance of t < 1 (Keys 1981, eq. 4, with his a free)."""
    return ((CUBIC + 2) * t - (CUBIC + 3)) * t * t + 1


@triton.jit
def _far(t: tl.tensor, CUBIC: tl.constexpr) -> tl.tensor:
    """Return the weight of a tap at a distance of t, 1 to 2."""
    return ((CUBIC * t - 5 * CUBIC) * t + 8 * CUBIC) * t - 4 * CUBIC


@triton.jit
def _taps(position: tl.tensor, length: tl.tensor, CUBIC: tl.constexpr, ZERO_OUTSIDE: tl.constexpr) -> tl.tuple:
    """Return indices and weights of the four taps along an axis; outside they weigh nothing, or replicate the edge."""
    position = tl.minimum(tl.maximum(position, -8.0), length + 8.0)  # all taps are outside there, as further away
    whole = tl.floor(position)
    t = position - whole
    w0 = _far(t + 1, CUBIC)
    w1 = _near(t, CUBIC)
    w2 = _near(1 - t, CUBIC)
    weights = (w0, w1, w2, 1 - w0 - w1 - w2)
    first = whole.to(tl.int32) - 1
    indices = ()
    inside_weights = ()
    for k in tl.static_range(4):
        index = first + k
        inside = tl.minimum(tl.maximum(index, 0), length - 1)
        indices = indices + (inside,)
        if ZERO_OUTSIDE:
            inside_weights = inside_weights + (tl.where(index == inside, weights[k], 0.0),)
        else:
            inside_weights = inside_weights + (weights[k],)
    return indices, inside_weights


@triton.jit
def _warped(image: tl.tensor, pitch: tl.tensor, columns: tl.tuple, rows: tl.tuple, BLOCK_PX: tl.constexpr) -> tl.tuple:
    """Return I1, Ix and Iy at the taps; image: pixels of four values: these three, and 0."""
    channel = tl.arange(0, 4)[None, :]
    total = tl.zeros((BLOCK_PX, 4), tl.float32)
    for j in tl.static_range(4):
        line = tl.zeros((BLOCK_PX, 4), tl.float32)
        for i in tl.static_range(4):
            pixel = rows[0][j] * pitch + columns[0][i]
            line += columns[1][i][:, None] * tl.load(image + pixel[:, None] * 4 + channel)
        total += rows[1][j][:, None] * line
    even, odd = tl.split(tl.reshape(total, (BLOCK_PX, 2, 2)))  # channels 0 and 2, 1 and 3
    brightness, grad_y = tl.split(even)
    grad_x, _ = tl.split(odd)
    return brightness, grad_x, grad_y


@triton.jit
def _enlarged(coarse: tl.tensor, pitch: tl.tensor, columns: tl.tuple, rows: tl.tuple, inside: tl.tensor) -> tl.tensor:
    """Return a field bilinearly sampled: columns first, as in mml_core.flow.torch.primitives."""
    left, right, share = columns
    top, bottom, share_down = rows
    a = tl.load(coarse + top * pitch + left, mask=inside, other=0.0)
    b = tl.load(coarse + top * pitch + right, mask=inside, other=0.0)
    above = tl.fma(b - a, share, a)
    a = tl.load(coarse + bottom * pitch + left, mask=inside, other=0.0)
    b = tl.load(coarse + bottom * pitch + right, mask=inside, other=0.0)
    below = tl.fma(b - a, share, a)
    return tl.fma(below - above, share_down, above)


@triton.jit
def _samples(lefts: tl.tensor, shares: tl.tensor, index: tl.tensor, inside: tl.tensor, length: tl.tensor) -> tl.tuple:
    left = tl.load(lefts + index, mask=inside, other=0)
    return left, tl.minimum(left + 1, length - 1), tl.load(shares + index, mask=inside, other=0.0)


@triton.jit
def linearise(
    control: tl.tensor,
    levels: tl.tensor,
    order: tl.tensor,
    pairs: tl.tensor,
    images: tl.tensor,
    lefts: tl.tensor,
    shares: tl.tensor,
    u: tl.tensor,
    p: tl.tensor,
    data: tl.tensor,
    plane: tl.tensor,
    pyramid: tl.tensor,
    enlargement: tl.tensor,
    CUBIC: tl.constexpr,
    ZERO_OUTSIDE: tl.constexpr,
    BLOCK_PX: tl.constexpr,
) -> None:
    """Begin the warp of each pair whose record asks for it; the program (i, j) is for part j of the pair order[i].

    pairs: frames of each, int32 (pairs, 2). images: I, Ix, Iy and 0 of each pixel (frames, pyramid, 4), float32: the
    levels one after another. lefts, shares: where to sample a coarser level, and its right neighbour's share.
    enlargement: what u is multiplied by from a level to the finer. Else as in mml_core.flow.triton.iterate.
    """
    pair = tl.load(order + tl.program_id(0))
    record = control + pair * RECORD
    if tl.load(record + LINEARISE) == 0:
        return
    entry = levels + tl.load(record + LEVEL) * ENTRY
    height, width, pitch = tl.load(entry + HEIGHT), tl.load(entry + WIDTH), tl.load(entry + PITCH) * ALIGNMENT
    pixels = tl.load(entry + PIXELS)
    first_image = images + (tl.load(pairs + pair * 2).to(tl.int64) * pyramid + pixels) * 4
    second_image = images + (tl.load(pairs + pair * 2 + 1).to(tl.int64) * pyramid + pixels) * 4
    at = pair.to(tl.int64) * plane
    buffer = (tl.load(record + U) + tl.load(record + SMOOTH)) % 2
    u1 = u + at * 4 + buffer * 2 * plane
    u2 = u1 + plane
    enlarge = tl.load(record + ENLARGE)
    for start in range(tl.program_id(1) * BLOCK_PX, height * pitch, tl.num_programs(1) * BLOCK_PX):
        pixel = start + tl.arange(0, BLOCK_PX)
        y = pixel // pitch
        x = pixel % pitch
        mask = pixel < height * pitch
        inside = mask & (x < width)
        if enlarge == 1:
            coarse = u + at * 4 + (1 - buffer) * 2 * plane
            coarse_height, coarse_width = tl.load(entry + ENTRY + HEIGHT), tl.load(entry + ENTRY + WIDTH)
            coarse_pitch = tl.load(entry + ENTRY + PITCH) * ALIGNMENT
            sample = tl.load(entry + SAMPLES)
            columns = _samples(lefts, shares, sample + x, inside, coarse_width)
            rows = _samples(lefts, shares, sample + width + y, inside, coarse_height)
            flow_x = _enlarged(coarse, coarse_pitch, columns, rows, inside) * enlargement
            flow_y = _enlarged(coarse + plane, coarse_pitch, columns, rows, inside) * enlargement
            tl.store(u1 + pixel, flow_x, mask=mask)
            tl.store(u2 + pixel, flow_y, mask=mask)
            for field in tl.static_range(4):
                zero = tl.zeros((BLOCK_PX,), tl.float32)
                tl.store(p + at * 8 + (tl.load(record + P) * 4 + field) * plane + pixel, zero, mask=mask)
        else:
            flow_x = tl.load(u1 + pixel, mask=inside, other=0.0)
            flow_y = tl.load(u2 + pixel, mask=inside, other=0.0)
        columns = _taps(x + flow_x, width, CUBIC, ZERO_OUTSIDE)
        rows = _taps(y + flow_y, height, CUBIC, ZERO_OUTSIDE)
        brightness, grad_x, grad_y = _warped(second_image, pitch, columns, rows, BLOCK_PX)
        grey = tl.load(first_image + pixel * 4, mask=inside, other=0.0)
        rho_c = brightness - grad_x * flow_x - grad_y * flow_y - grey
        tl.store(data + at * 3 + pixel, tl.where(inside, grad_x, 0.0), mask=mask)
        tl.store(data + at * 3 + plane + pixel, tl.where(inside, grad_y, 0.0), mask=mask)
        tl.store(data + at * 3 + 2 * plane + pixel, tl.where(inside, rho_c, 0.0), mask=mask)
