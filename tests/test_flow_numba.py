"""The parts of the engine on processors, each against OpenCV's or its definition."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from flow_frames import textured

from mml_core.flow.numba.lanes import WIDTH
from mml_core.flow.numba.level import pack, unpack
from mml_core.flow.numba.median import SORT, median_3, median_5, median_floats, merging
from mml_core.flow.numba.resize import resize, taps
from mml_core.flow.numba.sweep import DATA_FIELDS, STATE_FIELDS, sweep
from mml_core.flow.numba.warp import MARGIN, TEXEL, linearise, make_texels, warp_floats


def blocks(fields: np.ndarray) -> np.ndarray:
    """Arrange fields (N, H, W) as the kernels keep them: [row][block][field][lane], flat."""
    count, height, width = fields.shape
    padded = np.zeros((count, height, -(-width // WIDTH) * WIDTH), np.float32)
    padded[:, :, :width] = fields
    return np.ascontiguousarray(padded.reshape(count, height, -1, WIDTH).transpose(1, 2, 0, 3)).ravel()


def planes(flat: np.ndarray, count: int, height: int, width: int) -> np.ndarray:
    """Undo `blocks`; the lanes beyond the image must hold zeros in the first two fields."""
    padded = flat.reshape(height, -1, count, WIDTH).transpose(2, 0, 1, 3).reshape(count, height, -1)
    assert not padded[:2, :, width:].any()
    return padded[:, :, :width]


@pytest.mark.parametrize("side", [3, 5])
def test_networks_sort_all_zeros_and_ones(side: int) -> None:
    for values in itertools.product((0, 1), repeat=side):
        column = list(values)
        for i, j in SORT[side]:
            column[i], column[j] = min(column[i], column[j]), max(column[i], column[j])
        assert column == sorted(values)


@pytest.mark.parametrize(("first", "second"), [(3, 3), (4, 3), (5, 5), (10, 10), (6, 5)])
def test_networks_merge_all_zeros_and_ones(first: int, second: int) -> None:
    comparators, order = merging(range(first), range(first, first + second))
    for zeros, others in itertools.product(range(first + 1), range(second + 1)):
        values = [int(i >= zeros) for i in range(first)] + [int(i >= others) for i in range(second)]
        for i, j in comparators:
            values[i], values[j] = min(values[i], values[j]), max(values[i], values[j])
        assert [values[place] for place in order] == sorted(values)


@pytest.mark.parametrize(
    ("height", "width"), [(16, 16), (17, 33), (31, 47), (40, 64), (7, 65), (9, 80), (5, 5), (5, 6)]
)
@pytest.mark.parametrize("side", [3, 5])
def test_median_equals_opencv(side: int, height: int, width: int) -> None:
    fields = np.random.default_rng(side).normal(size=(STATE_FIELDS, height, width)).astype(np.float32)
    state = blocks(fields)
    for field in range(2):
        (median_3 if side == 3 else median_5)(state, field, height, width, np.zeros(median_floats(width), np.float32))
    result = planes(state, STATE_FIELDS, height, width)
    for field in range(2):
        assert np.array_equal(result[field], cv2.medianBlur(fields[field], side))
    assert np.array_equal(result[2:], fields[2:])


def resized(image: np.ndarray, height: int, width: int, step: float | None, corners: bool = False) -> np.ndarray:
    out = np.empty((height, width), np.float32)
    columns = taps(image.shape[1], width, step, corners=corners)
    rows = taps(image.shape[0], height, step, corners=corners)
    resize(image, columns, rows, np.empty((image.shape[0], width), np.float32), out)
    return out


@pytest.mark.parametrize(("height", "width"), [(256, 340), (224, 224), (61, 47), (20, 21), (33, 16)])
def test_resize_equals_opencv(height: int, width: int) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (height, width)).astype(np.float32)
    smaller = resized(image, round(0.8 * height), round(0.8 * width), 0.8)
    assert np.array_equal(smaller, cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_LINEAR))
    larger = resized(smaller, height, width, None)
    assert np.array_equal(larger, cv2.resize(smaller, (width, height), interpolation=cv2.INTER_LINEAR))


def test_corner_aligned_resize_by_hand() -> None:
    ramp = np.tile(np.arange(20, dtype=np.float32) ** 2, (20, 1))
    out = resized(ramp, 16, 16, 0.8, corners=True)
    assert out[0, :5].tolist() == [0, 1 + 0.25 * 3, 4 + 0.5 * 5, 9 + 0.75 * 7, 25]  # at 0, 1.25, 2.5, 3.75, 5
    assert resized(ramp, 25, 25, None, corners=True)[3, -1] == 361  # at 19.2, beyond the last centre


def warped(second: np.ndarray, flow: np.ndarray, cubic: float, replicate: bool) -> np.ndarray:
    """The data term (Ix, Iy, rho, -1/|grad|²) (4, H, W) where the first image is zero."""
    height, width = second.shape
    flat = np.zeros(second.size + 2 * WIDTH, np.float32)
    flat[WIDTH:-WIDTH] = second.ravel()
    texels = np.full((height + 2 * MARGIN) * (width + 2 * MARGIN) * TEXEL + 4 * WIDTH, np.nan, np.float32)
    make_texels(flat, height, width, replicate, texels)
    state = blocks(np.concatenate([flow, np.zeros((4, height, width), np.float32)]))
    data = np.full(state.size // STATE_FIELDS * DATA_FIELDS, np.nan, np.float32)
    scratch = np.zeros(warp_floats(width), np.float32)
    linearise(np.zeros_like(flat), texels, state, data, height, width, np.float32(cubic), scratch)
    return planes(data, DATA_FIELDS, height, width)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (23, 37), (16, 16)])
def test_warp_equals_opencv(height: int, width: int) -> None:
    rng = np.random.default_rng(1)
    second = textured(height, width)[1].numpy().astype(np.float32)
    flow = rng.normal(0, 4, (2, height, width)).astype(np.float32)
    flow[:, 0, 0], flow[:, 1, 1], flow[:, 2, 2] = 1e6, -1e6, (3, -2)
    ix, iy, rho, inverse = warped(second, flow, -0.75, replicate=False)
    x = np.arange(width, dtype=np.float32) + flow[0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[1]
    edges = cv2.copyMakeBorder(second, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    gradient = [(edges[1:-1, 2:] - edges[1:-1, :-2]) / 2, (edges[2:, 1:-1] - edges[:-2, 1:-1]) / 2]
    grey, expected_x, expected_y = (cv2.remap(image, x, y, cv2.INTER_CUBIC) for image in (second, *gradient))
    exact = int(cv2.__version__.split(".")[0]) >= 5  # before, places were rounded to 1/32 pixel
    tolerance = 1e-3 if exact else 5.0
    near = np.abs(flow).max(0) < 100
    assert np.abs(ix - expected_x).max() < tolerance
    assert np.abs(iy - expected_y).max() < tolerance
    sampled = rho + ix * flow[0] + iy * flow[1]
    assert np.abs(sampled - grey)[near].max() < tolerance
    assert not ix[~near].any() and not rho[~near].any()
    steep = ix**2 + iy**2 > 1
    assert np.allclose(inverse[steep], -1 / (ix**2 + iy**2)[steep], rtol=1e-5)


def test_warp_replicates_edges_for_the_gpu_variant() -> None:
    second = textured(20, 24)[1].numpy().astype(np.float32)
    flow = np.zeros((2, 20, 24), np.float32)
    flow[0], flow[1, 5] = 100, -200
    ix, iy, rho, _ = warped(second, flow, -0.5, replicate=True)
    sampled = rho + ix * flow[0] + iy * flow[1]
    assert np.allclose(sampled[6], second[6, -1], atol=1e-2)
    assert np.allclose(sampled[5], second[0, -1], atol=1e-2)


def iterate(state: np.ndarray, data: np.ndarray, lt: float, theta: float, taut: float) -> tuple[np.ndarray, float]:
    """One iteration, by the equations, in float64."""
    u1, u2, p11, p12, p21, p22 = state
    ix, iy, rho, inverse = data
    step = np.clip((rho + ix * u1 + iy * u2) * inverse, -lt, lt)
    results, duals, error = [], [], 0.0
    for u, gradient, px, py in ((u1, ix, p11, p12), (u2, iy, p21, p22)):
        divergence = np.diff(px, axis=1, prepend=0) + np.diff(py, axis=0, prepend=0)
        new = u + step * gradient + theta * divergence
        gx, gy = np.diff(new, axis=1, append=new[:, -1:]), np.diff(new, axis=0, append=new[-1:])
        damping = 1 + taut * np.hypot(gx, gy)
        duals += [(px + taut * gx) / damping, (py + taut * gy) / damping]
        results.append(new)
        error += ((new - u) ** 2).sum()
    return np.stack([*results, *duals]), error


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 33), (23, 31), (18, 48)])
@pytest.mark.parametrize("count", [1, 3])
def test_sweep_equals_the_equations(height: int, width: int, count: int) -> None:
    rng = np.random.default_rng(2)
    fields = rng.normal(0, 0.5, (STATE_FIELDS, height, width)).astype(np.float32)
    fields[[2, 4], :, -1] = 0  # as dual vectors always are, since the flow's difference there is
    fields[[3, 5], -1] = 0
    data = rng.normal(size=(DATA_FIELDS, height, width)).astype(np.float32)
    data[3] = -1 / (data[0] ** 2 + data[1] ** 2)
    source, target, errors = blocks(fields), np.full_like(blocks(fields), np.nan), np.zeros(8)
    numbers = (np.float32(0.045), np.float32(0.3), np.float32(0.25 / 0.3))
    sweep(source, target, blocks(data), height, width, count, errors, *numbers)
    expected = fields.astype(np.float64)
    for iteration in range(count):
        expected, error = iterate(expected, data.astype(np.float64), *map(float, numbers))
        assert errors[iteration] == pytest.approx(error, rel=1e-6)
    assert np.abs(planes(target, STATE_FIELDS, height, width) - expected).max() < 1e-6
    assert np.array_equal(source, blocks(fields))
    sweep(source, source, blocks(data), height, width, count, errors, *numbers)
    assert np.array_equal(source, target)


def test_pack_and_unpack() -> None:
    flow = np.random.default_rng(3).normal(size=(2, 17, 19)).astype(np.float32)
    state = np.full(17 * 2 * WIDTH * STATE_FIELDS, np.nan, np.float32)
    pack(flow, state)
    fields = planes(state, STATE_FIELDS, 17, 19)
    assert np.array_equal(fields[:2], flow) and not fields[2:].any()
    back = np.empty_like(flow)
    unpack(state, back)
    assert np.array_equal(back, flow)
