"""One level of the pyramid on processors: warps, median filters, and iterations until the flow stays where it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mml_core.flow.numba.lanes import WIDTH, Floats, compiled
from mml_core.flow.numba.median import median_3, median_5
from mml_core.flow.numba.sweep import STATE_BLOCK, sweep
from mml_core.flow.numba.warp import linearise

#: Iterations done in one pass over the image at most: more rows than that are not kept in the fast cache.
DEPTH = 8


class Numbers(NamedTuple):
    """Parameters of the equations, float32."""

    cubic: np.float32  # parameter of the interpolation kernel
    step_limit: np.float32  # lambda · theta
    theta: np.float32
    dual_step: np.float32  # tau / theta


class Limits(NamedTuple):
    """When a warp ends."""

    threshold: float  # squared changes of the flow in an iteration, all pixels added up
    inner: int  # iterations between two median filters
    outer: int  # median filters
    aperture: int  # of the median filter: 1, 3, 5
    lazy: bool  # whether the changes are looked at as OpenCV does on GPUs, without median filters


@compiled
def pack(flow: np.ndarray, state: Floats) -> None:
    """Start a level: `flow` (2, H, W) and dual vectors of 0 to `state`."""
    _, height, width = flow.shape
    row_floats = (width + WIDTH - 1) // WIDTH * STATE_BLOCK
    state[: height * row_floats] = 0
    for field in range(2):
        for y in range(height):
            for x in range(width):
                state[y * row_floats + x // WIDTH * STATE_BLOCK + field * WIDTH + x % WIDTH] = flow[field, y, x]


@compiled
def unpack(state: Floats, flow: np.ndarray) -> None:
    """Write the flow of `state` to `flow` (2, H, W)."""
    _, height, width = flow.shape
    row_floats = (width + WIDTH - 1) // WIDTH * STATE_BLOCK
    for field in range(2):
        for y in range(height):
            for x in range(width):
                flow[field, y, x] = state[y * row_floats + x // WIDTH * STATE_BLOCK + field * WIDTH + x % WIDTH]


@compiled
def _advance(
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
) -> float:
    """Do `count` iterations from src to dst; return the sum of squared changes of the last."""
    done, error = 0, np.inf
    while done < count:
        depth = min(DEPTH, count - done)
        sweep(src if done == 0 else dst, dst, data, height, width, depth, errors, lt, theta, taut)
        done += depth
        error = errors[depth - 1]
    return error


@compiled
def _depth(done: int, error: float, before: float, threshold: float) -> int:
    """Return how many iterations to do in one pass, so that hardly ever one before the last meets the stop rule.

    error, before: sums of squared changes of the last of `done` iterations. They fall more and more slowly, and the
    first of them unevenly: expected to fall twice as fast as they did, they are hardly ever overestimated. Doing all
    again costs much more than passes of few iterations.
    """
    ratio = min(max(error / before, 0.6), 0.95) ** 2
    depth, expected = 1, error * ratio
    while depth < DEPTH and expected * done > (done + 1.5) * threshold:
        depth += 1
        expected *= ratio
    return depth


@compiled
def _until_still(
    src: Floats,
    dst: Floats,
    data: Floats,
    height: int,
    width: int,
    limit: int,
    first: int,
    threshold: float,
    errors: np.ndarray,
    lt: np.float32,
    theta: np.float32,
    taut: np.float32,
) -> tuple[int, float]:
    """Iterate from src to dst until the squared changes add up to `threshold` at most; return iterations and that sum.

    first: iterations in the first pass, at least 2. src stays as it is: where a pass went beyond the iteration that
    meets the rule, all is done again up to that one.
    """
    done, error, before = 0, np.inf, np.inf
    while done < limit and error > threshold:
        depth = min(first if done == 0 else _depth(done, error, before, threshold), limit - done)
        sweep(src if done == 0 else dst, dst, data, height, width, depth, errors, lt, theta, taut)
        for i in range(depth):
            done += 1
            before, error = error, errors[i]
            if not error > threshold:
                if i + 1 < depth:
                    _advance(src, dst, data, height, width, done, errors, lt, theta, taut)
                break
    return done, error


@compiled
def _until_still_lazily(
    state: Floats,
    data: Floats,
    height: int,
    width: int,
    limit: int,
    threshold: float,
    errors: np.ndarray,
    lt: np.float32,
    theta: np.float32,
    taut: np.float32,
) -> int:
    """Iterate as OpenCV does on GPUs, where looking at the changes costs time; return the iterations.

    It looks in iterations 1, 3, 5, …, but after changes of n times the threshold no sooner than n iterations later.
    """
    done, looked, error = 0, 0.0, np.inf
    while done < limit and error > threshold:
        count = 1
        while done + count < limit and not (threshold > 0 and (done + count) % 2 == 0 and looked < threshold):
            looked -= threshold
            count += 1
        error = _advance(state, state, data, height, width, count, errors, lt, theta, taut)
        done += count
        if threshold > 0 and done % 2 == 0 and looked < threshold:
            looked = error
        else:
            error = np.inf
    return done


@compiled
def solve_level(
    first: Floats,
    texels: Floats,
    state: Floats,
    other: Floats,
    data: Floats,
    height: int,
    width: int,
    numbers: Numbers,
    limits: Limits,
    scratch: Floats,
    errors: np.ndarray,
    counts: np.ndarray,
) -> bool:
    """Improve the flow in `state`; `other` is a second state, data the data term, scratch and errors working memory.

    counts: iterations of each warp, out; zeros before. Return whether the flow ended up in `other`.
    """
    cubic, lt, theta, taut = numbers
    threshold, inner, outer, aperture, lazy = limits
    swapped = False
    for warp in range(len(counts)):
        linearise(first, texels, state, data, height, width, cubic, scratch)
        if lazy:
            most = inner * outer
            counts[warp] = _until_still_lazily(state, data, height, width, most, threshold, errors, lt, theta, taut)
            continue
        likely = counts[max(warp - 1, 0)]  # the next warp may need fewer by far
        for _ in range(outer):
            for field in range(2):
                if aperture == 5:
                    median_5(state, field, height, width, scratch)
                elif aperture == 3:
                    median_3(state, field, height, width, scratch)
            at_once = min(max(likely // 4, 2), DEPTH)
            done, error = _until_still(
                state, other, data, height, width, inner, at_once, threshold, errors, lt, theta, taut
            )
            counts[warp] += done
            state, other, swapped = other, state, not swapped
            if not error > threshold:
                break
    return swapped
