"""The engine on processors: its parts against OpenCV's, its flow against OpenCV's and the PyTorch definition."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mml_core.config.flow import Tvl1
from mml_core.flow.numba_engine import NumbaTvl1
from mml_core.flow.numba_lanes import WIDTH
from mml_core.flow.numba_level import pack, unpack
from mml_core.flow.numba_median import SORT, median_3, median_5, median_comparators, median_floats
from mml_core.flow.numba_resize import resize, taps
from mml_core.flow.numba_sweep import DATA_FIELDS, STATE_FIELDS, sweep
from mml_core.flow.numba_warp import MARGIN, TEXEL, linearise, make_texels, warp_floats
from mml_core.flow.reference import TorchTvl1

PAIR = torch.tensor([[0, 1]])


def textured(height: int, width: int, frames: int = 2, seed: int = 0, speed: float = 1.0) -> torch.Tensor:
    """Frames (F, H, W), uint8, of a smooth random texture that turns and drifts."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (height + 80, width + 80)).astype(np.float32), (0, 0), 3)
    texture = np.clip((texture - 127.5) / texture.std() * 35 + 127.5, 0, 255)
    images = []
    for t in range(frames):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 1.2 * speed * t, 1 + 0.01 * t)
        turn[:, 2] += (-40 + 1.3 * speed * t, -40 - 0.7 * speed * t)
        images.append(cv2.warpAffine(texture, turn, (width, height), flags=cv2.INTER_CUBIC))
    return torch.from_numpy(np.stack(images).clip(0, 255).astype(np.uint8))


def opencv(frames: torch.Tensor, settings: Tvl1, initial: np.ndarray | None = None) -> np.ndarray:
    """Flow (2, H, W) from the first to the second frame."""
    solver = cv2.optflow.DualTVL1OpticalFlow_create(
        settings.time_step,
        settings.attachment,
        settings.tightness,
        settings.scales,
        settings.warps,
        settings.stop_px,
        settings.inner_iterations,
        settings.outer_iterations,
        settings.scale_step,
        0.0,
        settings.median_px,
        initial is not None,
    )
    begin = None if initial is None else np.ascontiguousarray(initial.transpose(1, 2, 0))
    return solver.calc(frames[0].numpy(), frames[1].numpy(), begin).transpose(2, 0, 1)


def distances(flow: torch.Tensor | np.ndarray, expected: torch.Tensor | np.ndarray) -> np.ndarray:
    """Lengths of the differences of two fields (2, H, W)."""
    return np.linalg.norm(np.asarray(flow) - np.asarray(expected), axis=0)


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


# parts


@pytest.mark.parametrize("side", [3, 5])
def test_networks_select_the_median_of_all_zeros_and_ones(side: int) -> None:
    for values in itertools.product((0, 1), repeat=side):
        column = list(values)
        for i, j in SORT[side]:
            column[i], column[j] = min(column[i], column[j]), max(column[i], column[j])
        assert column == sorted(values)
    for ones in itertools.product(range(side + 1), repeat=side):
        window = [int(row >= side - ones[column]) for row in range(side) for column in range(side)]
        for i, j in median_comparators(side):
            window[i], window[j] = min(window[i], window[j]), max(window[i], window[j])
        assert window[side * side // 2] == int(sum(ones) > side * side // 2)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 33), (31, 47), (40, 64), (5, 5)])
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


# the engine


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 40), (61, 83), (96, 112)])
@pytest.mark.parametrize("median_px", [1, 3, 5])
def test_flow_equals_opencv(height: int, width: int, median_px: int) -> None:
    settings = Tvl1(median_px=median_px)
    frames = textured(height, width, seed=height)
    distance = distances(NumbaTvl1(settings)(frames, PAIR)[0], opencv(frames, settings))
    assert np.median(distance) <= 0.01
    # without a median filter, what differs in the last bits grows to more in a few places
    assert np.percentile(distance, 95) <= (0.06 if median_px > 1 else 0.2)


@pytest.mark.parametrize(
    "changed",
    [
        {"inner_iterations": 7, "outer_iterations": 3},
        {"scales": 2, "scale_step": 0.5, "warps": 3},
        {"attachment": 0.3},
        {"tightness": 0.2},
        {"time_step": 0.125},
    ],
)
def test_parameters_mean_what_they_mean_in_opencv(changed: dict[str, float]) -> None:
    few = {"stop_px": 0, "inner_iterations": 8, "outer_iterations": 1}
    frames = textured(48, 60)
    settings = Tvl1(**few | changed)
    flow = NumbaTvl1(settings)(frames, PAIR)[0]
    assert np.median(distances(flow, opencv(frames, settings))) <= 1e-3
    assert np.median(distances(flow, NumbaTvl1(Tvl1(**few))(frames, PAIR)[0])) > 0.003


def test_flow_after_a_fixed_number_of_iterations() -> None:
    settings = Tvl1(stop_px=0, inner_iterations=10, outer_iterations=1)
    frames = textured(72, 90)
    solution = NumbaTvl1(settings).solve(frames, PAIR)
    assert (solution.iterations == 10).all()
    assert np.median(distances(solution.flow[0], opencv(frames, settings))) <= 1e-3


@pytest.mark.parametrize("variant", ["opencv", "opencv-cuda"])
def test_flow_and_iterations_equal_the_definition(variant: str) -> None:
    settings = Tvl1(variant=variant)
    frames = textured(45, 61, frames=3)
    pairs = torch.tensor([[0, 1], [1, 2], [2, 0]])
    solution, expected = NumbaTvl1(settings).solve(frames, pairs), TorchTvl1(settings).solve(frames, pairs)
    assert solution.iterations.shape == expected.iterations.shape == (3, 5, 5)
    assert solution.iterations.dtype == torch.int32
    close = (solution.iterations - expected.iterations).abs() <= 3
    assert close.float().mean() > 0.9
    distance = np.concatenate([distances(a, b) for a, b in zip(solution.flow, expected.flow, strict=True)])
    assert np.median(distance) <= 0.005
    assert np.percentile(distance, 95) <= 0.06


@pytest.mark.parametrize("variant", ["opencv", "opencv-cuda"])
def test_initial_flow(variant: str) -> None:
    settings = Tvl1(variant=variant, scales=3, warps=1, stop_px=0, inner_iterations=4, outer_iterations=1)
    frames = textured(50, 58, speed=4)
    initial = torch.from_numpy(np.random.default_rng(4).normal(2, 0.5, (1, 2, 50, 58)).astype(np.float32))
    flow = NumbaTvl1(settings)(frames, PAIR, initial)[0]
    expected = TorchTvl1(settings)(frames, PAIR, initial)[0]
    assert np.median(distances(flow, expected)) <= 1e-4
    if variant == "opencv":
        assert np.median(distances(flow, opencv(frames, settings, initial[0].numpy()))) <= 1e-3


def test_initial_flow_is_not_changed() -> None:
    initial = torch.ones(1, 2, 24, 24)
    NumbaTvl1(Tvl1(scales=1))(textured(24, 24), PAIR, initial)
    assert (initial == 1).all()


def test_levels_of_equal_size() -> None:
    settings = Tvl1(scales=3, scale_step=0.98, stop_px=0, inner_iterations=5, outer_iterations=1)
    frames = textured(20, 20)
    assert (NumbaTvl1(settings).solve(frames, PAIR).iterations.shape) == (1, 3, 5)
    assert np.median(distances(NumbaTvl1(settings)(frames, PAIR)[0], opencv(frames, settings))) <= 1e-3


def test_lazy_stop_rule_of_the_gpu_variant() -> None:
    settings = Tvl1(variant="opencv-cuda", inner_iterations=7, outer_iterations=3)
    frames = textured(40, 40)
    counts = NumbaTvl1(settings).solve(frames, PAIR).iterations
    assert (counts[counts < 21] % 2 == 0).all() and (counts <= 21).all()
    free = Tvl1(variant="opencv-cuda", stop_px=0, inner_iterations=7, outer_iterations=3)
    assert (NumbaTvl1(free).solve(frames, PAIR).iterations == 21).all()


@pytest.mark.parametrize("variant", ["opencv", "opencv-cuda"])
def test_identical_frames_have_no_flow(variant: str) -> None:
    frames = textured(33, 50)[:1].repeat(2, 1, 1)
    solution = NumbaTvl1(Tvl1(variant=variant)).solve(frames, PAIR)
    assert not solution.flow.any()
    assert (solution.iterations == (2 if variant == "opencv-cuda" else 1)).all()


def test_flat_frames_have_no_flow() -> None:
    frames = torch.stack([torch.full((20, 24), level, dtype=torch.uint8) for level in (10, 200)])
    inside = NumbaTvl1(Tvl1())(frames, PAIR)
    assert torch.isfinite(inside).all()
    assert inside.abs().max() == 0


def test_known_translation() -> None:
    big = textured(100, 140, frames=1)[0]
    frames = torch.stack([big[10:74, 10:106], big[8:72, 7:103]])  # content moves by (3, 2)
    flow = NumbaTvl1(Tvl1())(frames, PAIR)[0, :, 10:-10, 10:-10]
    assert (flow - torch.tensor([3.0, 2.0])[:, None, None]).abs().mean() < 0.1


def test_a_pair_does_not_depend_on_its_batch_or_on_threads() -> None:
    frames = torch.cat([textured(37, 45, frames=3), textured(37, 45, frames=2, seed=1, speed=3)])
    pairs = torch.tensor([[0, 1], [1, 2], [3, 4], [4, 0], [2, 2]])
    together = NumbaTvl1(Tvl1()).solve(frames, pairs)
    for index, pair in enumerate(pairs):
        alone = NumbaTvl1(Tvl1()).solve(frames[pair], PAIR)
        assert torch.equal(alone.flow[0], together.flow[index])
        assert torch.equal(alone.iterations[0], together.iterations[index])
    threaded = NumbaTvl1(Tvl1(), threads=3).solve(frames, pairs.flip(0))
    assert torch.equal(threaded.flow.flip(0), together.flow)
    assert torch.equal(threaded.iterations.flip(0), together.iterations)


def test_float_frames_equal_levels_of_eight_bits() -> None:
    frames = textured(30, 30)
    engine = NumbaTvl1(Tvl1())
    assert torch.equal(engine(frames.float(), PAIR), engine(frames, PAIR))
    assert engine(frames, PAIR).dtype == torch.float32


def test_frames_need_not_be_contiguous() -> None:
    frames = textured(32, 40)
    engine = NumbaTvl1(Tvl1())
    assert torch.equal(engine(frames.mT.contiguous().mT, PAIR), engine(frames, PAIR))


def test_no_pairs() -> None:
    solution = NumbaTvl1(Tvl1(), threads=2).solve(textured(20, 20), torch.zeros(0, 2, dtype=torch.int64))
    assert solution.flow.shape == (0, 2, 20, 20)


def test_denormals_are_as_before_afterwards() -> None:
    tiny = torch.tensor([torch.finfo(torch.float32).tiny])
    NumbaTvl1(Tvl1())(textured(16, 16), PAIR)
    assert (tiny / 2).item() > 0


def test_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="illumination"):
        NumbaTvl1(Tvl1(illumination=1.0))
    with pytest.raises(ValueError, match="16 x 16"):
        NumbaTvl1(Tvl1())(torch.zeros(2, 15, 40, dtype=torch.uint8), PAIR)


def test_memory_of_a_batch() -> None:
    """7 MB for each thread beside frames, pyramids and flow."""
    one, two = (NumbaTvl1(Tvl1(), threads).working_bytes(256, 340, 64, 65) for threads in (1, 2))
    assert two < 0.2e9
    assert 6e6 < two - one < 11e6


def test_same_flow_on_a_processor_without_wide_vectors(tmp_path: Path) -> None:
    frames, found = textured(33, 41), tmp_path / "flow.npy"
    np.save(tmp_path / "frames.npy", frames.numpy())
    program = (
        "import sys, numpy as np, torch; from mml_core.config.flow import Tvl1;"
        "from mml_core.flow.numba_engine import NumbaTvl1;"
        "frames = torch.from_numpy(np.load(sys.argv[1])); settings = Tvl1(stop_px=0, inner_iterations=9, warps=2);"
        "np.save(sys.argv[2], NumbaTvl1(settings)(frames, torch.tensor([[0, 1]])).numpy())"
    )
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "frames.npy"), str(found)], check=True, env=environment
    )
    flow = NumbaTvl1(Tvl1(stop_px=0, inner_iterations=9, warps=2))(frames, PAIR)[0]
    assert np.median(distances(np.load(found)[0], flow)) <= 1e-3


def test_an_interrupted_batch_ends_with_the_pairs_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, engine = [], NumbaTvl1(Tvl1(), threads=2)

    def solve(*_: object) -> np.ndarray:
        begun.append(1)
        if len(begun) == 1:
            raise KeyboardInterrupt
        time.sleep(0.02)
        return np.zeros((2, 16, 16), np.float32)

    monkeypatch.setattr(engine, "_solve", solve)
    with pytest.raises(KeyboardInterrupt):
        engine(torch.zeros((2, 16, 16), dtype=torch.uint8), PAIR.expand(200, 2))
    assert len(begun) < 50
