"""The data term of TV-L1 on processors: the second image and its gradient, sampled where the flow leads."""

from __future__ import annotations

import numpy as np

from mml_core.flow.numba.lanes import (
    WIDTH,
    Floats,
    Lanes,
    compiled,
    even_lanes,
    floor,
    lane_numbers,
    larger,
    load,
    load_each_four_times,
    odd_lanes,
    rotate_4,
    rotate_8,
    smaller,
    splat,
    store,
    store_four,
    zip_high,
    zip_low,
)
from mml_core.flow.numba.sweep import DATA_BLOCK, STATE_BLOCK

#: A texel is a pixel's grey level, its gradient's x and y, and an unused 0: four texels make a vector.
TEXEL = 4
#: Texels around the image; a place further outside sees the same as one here.
MARGIN = 4
#: Below this squared gradient a pixel's grey level says nothing about its motion (float32's resolution at 1).
_NO_GRADIENT = np.float32(2**-23)
#: Floats that say where a block of pixels is sampled, with which weights.
PLACES = 10 * WIDTH


@compiled
def make_texels(image: Floats, height: int, width: int, replicate: bool, texels: Floats) -> None:
    """Write `image` (flat, after WIDTH spare values, and as many behind it) and its central differences as texels.

    texels: flat (H + 2 MARGIN, W + 2 MARGIN, TEXEL). Outside the image they are 0, or the nearest one (replicate).
    """
    pitch = (width + 2 * MARGIN) * TEXEL
    half, zero = splat(np.float32(0.5)), splat(np.float32(0))
    for y in range(height):
        here = WIDTH + y * width
        upper, lower = WIDTH + max(y - 1, 0) * width, WIDTH + min(y + 1, height - 1) * width
        row = (y + MARGIN) * pitch + MARGIN * TEXEL
        for x in range(0, width, WIDTH):
            grey = load(image, here + x)
            dx = half * (load(image, here + x + 1) - load(image, here + x - 1))
            dy = half * (load(image, lower + x) - load(image, upper + x))
            even, odd = zip_low(grey, dy), zip_low(dx, zero)
            store(texels, row + x * TEXEL, zip_low(even, odd))
            store(texels, row + x * TEXEL + WIDTH, zip_high(even, odd))
            even, odd = zip_high(grey, dy), zip_high(dx, zero)
            store(texels, row + x * TEXEL + 2 * WIDTH, zip_low(even, odd))
            store(texels, row + x * TEXEL + 3 * WIDTH, zip_high(even, odd))
        last = here + width - 1
        texels[row + 1] = np.float32(0.5) * (image[here + 1] - image[here])
        texels[row + (width - 1) * TEXEL + 1] = np.float32(0.5) * (image[last] - image[last - 1])
        for x in range(MARGIN * TEXEL):
            texels[row - MARGIN * TEXEL + x] = texels[row + x % TEXEL] if replicate else 0
            texels[row + width * TEXEL + x] = texels[row + (width - 1) * TEXEL + x % TEXEL] if replicate else 0
    for y in range(MARGIN):
        for x in range(pitch):
            texels[y * pitch + x] = texels[MARGIN * pitch + x] if replicate else 0
            below = (MARGIN + height + y) * pitch + x
            texels[below] = texels[(MARGIN + height - 1) * pitch + x] if replicate else 0


@compiled
def _weights(t: Lanes, a: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """Return the weights of the four taps around a place `t` after the second (Keys 1981, eq. 4, with his a free)."""
    one = splat(np.float32(1))
    t1, s = t + one, one - t
    far = ((a * t1 - splat(np.float32(5)) * a) * t1 + splat(np.float32(8)) * a) * t1 - splat(np.float32(4)) * a
    slope, offset = a + splat(np.float32(2)), a + splat(np.float32(3))
    near1 = (slope * t - offset) * t * t + one
    near2 = (slope * s - offset) * s * s + one
    return far, near1, near2, one - far - near1 - near2


@compiled
def _place(x: Lanes, length: int, places: Floats, at: int) -> Lanes:
    """Write the index of the first of four taps, counted from the margin's start; return the fraction."""
    whole = floor(x)
    first = larger(smaller(whole, splat(np.float32(length + 1))), splat(np.float32(-3)))
    store(places, at, first + splat(np.float32(MARGIN - 1)))
    return x - whole


@compiled
def _locate(state: Floats, row: int, height: int, width: int, cubic: np.float32, places: Floats) -> None:
    """Write places and weights of a row's samples: for each block [column, row, row weights 4, column weights 4]."""
    a = splat(cubic)
    s = row * ((width + WIDTH - 1) // WIDTH) * STATE_BLOCK
    at = 0
    for x in range(0, width, WIDTH):
        u1, u2 = load(state, s), load(state, s + WIDTH)
        column = lane_numbers() + splat(np.float32(x))
        w1, w2, w3, w4 = _weights(_place(column + u1, width, places, at), a)
        store(places, at + 6 * WIDTH, zip_low(zip_low(w1, w3), zip_low(w2, w4)))
        store(places, at + 7 * WIDTH, zip_high(zip_low(w1, w3), zip_low(w2, w4)))
        store(places, at + 8 * WIDTH, zip_low(zip_high(w1, w3), zip_high(w2, w4)))
        store(places, at + 9 * WIDTH, zip_high(zip_high(w1, w3), zip_high(w2, w4)))
        w1, w2, w3, w4 = _weights(_place(splat(np.float32(row)) + u2, height, places, at + WIDTH), a)
        store(places, at + 2 * WIDTH, w1)
        store(places, at + 3 * WIDTH, w2)
        store(places, at + 4 * WIDTH, w3)
        store(places, at + 5 * WIDTH, w4)
        s += STATE_BLOCK
        at += PLACES


@compiled
def _sample(texels: Floats, width: int, places: Floats, samples: Floats) -> None:
    """Sample the texels at a row's places."""
    pitch = (width + 2 * MARGIN) * TEXEL
    for x in range(width):
        block, lane = x // WIDTH * PLACES, x % WIDTH
        at = np.int64(places[block + WIDTH + lane]) * pitch + np.int64(places[block + lane]) * TEXEL
        weight = block + 2 * WIDTH + lane
        upper = load(texels, at) * splat(places[weight])
        lower = load(texels, at + 2 * pitch) * splat(places[weight + 2 * WIDTH])
        upper = upper + load(texels, at + pitch) * splat(places[weight + WIDTH])
        lower = lower + load(texels, at + 3 * pitch) * splat(places[weight + 3 * WIDTH])
        taps = (upper + lower) * load_each_four_times(places, block + 6 * WIDTH + lane * TEXEL)
        taps = taps + rotate_8(taps)
        store_four(samples, x * TEXEL, taps + rotate_4(taps))


@compiled
def _expand(first: Floats, samples: Floats, state: Floats, data: Floats, row: int, width: int) -> None:
    """Write a row of the data term, from the samples and the flow that they were taken at."""
    one, zero = splat(np.float32(1)), splat(np.float32(0))
    block = row * ((width + WIDTH - 1) // WIDTH)
    s, d = block * STATE_BLOCK, block * DATA_BLOCK
    for x in range(0, width, WIDTH):
        v1, v2 = load(samples, x * TEXEL), load(samples, x * TEXEL + WIDTH)
        v3, v4 = load(samples, x * TEXEL + 2 * WIDTH), load(samples, x * TEXEL + 3 * WIDTH)
        even1, even2 = even_lanes(v1, v2), even_lanes(v3, v4)
        grey, iy = even_lanes(even1, even2), odd_lanes(even1, even2)
        ix = even_lanes(odd_lanes(v1, v2), odd_lanes(v3, v4))
        rho = grey - ix * load(state, s) - iy * load(state, s + WIDTH) - load(first, WIDTH + row * width + x)
        inside = larger(smaller(splat(np.float32(width - x)) - lane_numbers(), one), zero)
        store(data, d, ix * inside)
        store(data, d + WIDTH, iy * inside)
        store(data, d + 2 * WIDTH, rho * inside)
        store(data, d + 3 * WIDTH, -one / larger(ix * ix + iy * iy, splat(_NO_GRADIENT)))
        s += STATE_BLOCK
        d += DATA_BLOCK


@compiled
def linearise(
    first: Floats,
    texels: Floats,
    state: Floats,
    data: Floats,
    height: int,
    width: int,
    cubic: np.float32,
    scratch: Floats,
) -> None:
    """Write the data term around the flow in `state` to `data`: see mml_core.flow.numba.sweep.

    first: first image, flat; texels: of the second (`make_texels`); cubic: parameter of the kernel (float32);
    scratch: float32, `warp_floats(width)`.
    """
    blocks = (width + WIDTH - 1) // WIDTH
    places, samples = scratch[: blocks * PLACES], scratch[blocks * PLACES :]
    for row in range(height):
        _locate(state, row, height, width, cubic, places)
        _sample(texels, width, places, samples)
        _expand(first, samples, state, data, row, width)


def warp_floats(width: int) -> int:
    """Return how many float32 `linearise` needs beside its arguments."""
    return -(-width // WIDTH) * (PLACES + WIDTH * TEXEL)
