from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from flow_frames import moved, neighbours, real_frames, scene, translation
from numpy.typing import NDArray
from torch import Tensor

from mml_core.config.flow import Tvl1
from mml_core.flow import pixel_iterations
from mml_core.flow.levels import level_sizes
from mml_core.flow.opencv import OpenCvTvl1
from mml_core.flow.parity import compare, end_point_error
from mml_core.flow.torch.reference import TorchTvl1

PAIR = torch.tensor([[0, 1]])
#: Every pair does the same iterations in all engines: differences are of rounding, not of when a pair stops.
FIXED = {"stop_px": 0, "inner_iterations": 10, "outer_iterations": 1}


# --- against OpenCV, parameter by parameter -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"median_px": 3},
        {"median_px": 1},
        {"outer_iterations": 2, "inner_iterations": 5},
        {"scale_step": 0.5, "scales": 3},
        {"scale_step": 0.7},
        {"scales": 1, "warps": 2},
        {"attachment": 0.3},
        {"tightness": 0.2, "time_step": 0.15},
        {"illumination": 0.1},
        {"illumination": 0.5, "scales": 2},
    ],
    ids=str,
)
def test_after_a_fixed_number_of_iterations(changes: dict[str, float]) -> None:
    settings, frames = Tvl1(**{**FIXED, **changes}), scene(2, 120, 150)
    assert compare(TorchTvl1(settings)(frames, PAIR), OpenCvTvl1(settings)(frames, PAIR)).median_px <= 1e-3
    # rounding grows from warp to warp where the discs uncover the background: after few iterations there is little
    few = settings.model_copy(update={"inner_iterations": 2, "warps": 1})
    assert compare(TorchTvl1(few)(frames, PAIR), OpenCvTvl1(few)(frames, PAIR)).p95_px <= 1e-4


@pytest.mark.parametrize("clip", ["bikes.mp4", "carphone_pristine.mp4"])
def test_after_a_fixed_number_of_iterations_on_real_frames(real_data: Path, clip: str) -> None:
    settings, frames = Tvl1(**FIXED), real_frames(real_data / "clips" / clip, 2, (256, 340), start=10, stride=2)
    assert compare(TorchTvl1(settings)(frames, PAIR), OpenCvTvl1(settings)(frames, PAIR)).median_px <= 1e-3


def test_illumination_against_opencv() -> None:
    """With its own stop rule, in which the change of brightness counts."""
    frames = scene(2, 120, 150)
    frames[1] = (frames[1].float() * 0.9 + 20).clamp(0, 255).byte()
    settings = Tvl1(illumination=0.1)
    flow = TorchTvl1(settings)(frames, PAIR)
    parity = compare(flow, OpenCvTvl1(settings)(frames, PAIR))
    assert parity.median_px <= 0.01
    assert parity.within_level >= 0.99
    without = TorchTvl1(Tvl1())(frames, PAIR)
    assert end_point_error(flow, without).median() > 5 * parity.median_px  # it matters


@pytest.mark.parametrize(
    "settings", [Tvl1(), Tvl1(**FIXED), Tvl1(illumination=0.1, **FIXED)], ids=["to the end", "fixed", "illumination"]
)
def test_initial_flow_against_opencv(settings: Tvl1) -> None:
    frames = moved(translation(101, 90, 3.0, -2.0))
    initial = translation(101, 90, 2.4, -1.7)[None] + 0.2 * torch.randn(
        1, 2, 101, 90, generator=torch.Generator().manual_seed(0)
    )
    before = initial.clone()
    flow = TorchTvl1(settings)(frames, PAIR, initial)
    parity = compare(flow, OpenCvTvl1(settings)(frames, PAIR, initial))
    assert parity.median_px <= 1e-3
    assert parity.within_level >= 0.99
    assert torch.equal(initial, before)
    assert not torch.equal(flow, TorchTvl1(settings)(frames, PAIR))


def test_levels_of_one_size() -> None:
    """0.99 of 40 pixels are 40 pixels: OpenCV takes the flow times 1 / 0.99 to the next level all the same."""
    settings, frames = Tvl1(scale_step=0.99, scales=3, **FIXED), moved(translation(40, 44, 2.0, 1.0))
    assert level_sizes(40, 44, 3, 0.99) == [(40, 44)] * 3
    assert compare(TorchTvl1(settings)(frames, PAIR), OpenCvTvl1(settings)(frames, PAIR)).p95_px <= 1e-3


# --- the variant opencv-cuda against another program of it ----------------------------------------------------------

Field = NDArray[np.float64]


def shifted(field: Field, dx: int, dy: int) -> Field:
    """The field at (x + dx, y + dy), the nearest pixel where that is outside."""
    height, width = field.shape
    return field[np.clip(np.arange(height) + dy, 0, height - 1)][:, np.clip(np.arange(width) + dx, 0, width - 1)]


def catmull_rom(field: Field, x: Field, y: Field) -> Field:
    def kernel(d: Field) -> Field:
        d = np.abs(d)
        near, far = d * d * (1.5 * d - 2.5) + 1, d * (d * (-0.5 * d + 2.5) - 4) + 2
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    height, width = field.shape
    total, weights = np.zeros_like(field), np.zeros_like(field)
    for j in range(-2, 3):
        for i in range(-2, 3):
            column, row = np.floor(x) + i, np.floor(y) + j
            weight = kernel(x - column) * kernel(y - row)
            inside = np.clip(row, 0, height - 1).astype(int), np.clip(column, 0, width - 1).astype(int)
            total, weights = total + weight * field[inside], weights + weight
    return total / weights


def divergence(along_x: Field, along_y: Field) -> Field:
    left, up = shifted(along_x, -1, 0), shifted(along_y, 0, -1)
    left[:, 0], up[0] = 0, 0
    return along_x - left + along_y - up


def one_level(frames: Tensor, settings: Tvl1) -> tuple[Tensor, list[int]]:
    """Flow and iterations a warp as OpenCV's GPU version has them, in double precision; no pyramid."""
    first, second = frames.double().numpy()
    gradient = (
        (shifted(second, 1, 0) - shifted(second, -1, 0)) / 2,
        (shifted(second, 0, 1) - shifted(second, 0, -1)) / 2,
    )
    u, p = [np.zeros_like(first) for _ in range(2)], [np.zeros_like(first) for _ in range(4)]
    limit, tau = settings.attachment * settings.tightness, settings.time_step / settings.tightness
    scaled_epsilon, counts = settings.stop_px**2 * first.size, []
    y, x = np.mgrid[: first.shape[0], : first.shape[1]]
    for _ in range(settings.warps):
        warped, wx, wy = (catmull_rom(image, x + u[0], y + u[1]) for image in (second, *gradient))
        squared, rho_c = wx**2 + wy**2, warped - wx * u[0] - wy * u[1] - first
        error, previous, n = np.inf, 0.0, 0
        while error > scaled_epsilon and n < settings.inner_iterations * settings.outer_iterations:
            look = settings.stop_px > 0 and n % 2 == 1 and previous < scaled_epsilon
            rho = rho_c + wx * u[0] + wy * u[1]
            middle = np.where(squared > np.finfo(np.float32).eps, -rho / np.maximum(squared, 1e-30), 0)
            step = np.where(rho < -limit * squared, limit, np.where(rho > limit * squared, -limit, middle))
            new = [
                u[k] + step * (wx, wy)[k] + settings.tightness * divergence(p[2 * k], p[2 * k + 1]) for k in range(2)
            ]
            change = sum(((new[k] - u[k]) ** 2).sum() for k in range(2))
            error = change if look else np.inf
            previous = change if look else previous - scaled_epsilon
            u, n = new, n + 1
            for k in range(2):
                along_x, along_y = shifted(u[k], 1, 0) - u[k], shifted(u[k], 0, 1) - u[k]
                size = 1 + tau * np.hypot(along_x, along_y)
                p[2 * k], p[2 * k + 1] = (p[2 * k] + tau * along_x) / size, (p[2 * k + 1] + tau * along_y) / size
        counts.append(n)
    return torch.from_numpy(np.stack(u)).float(), counts


@pytest.mark.parametrize("stop_px", [0.03, 0.01, 0.003])
def test_opencv_cuda_against_another_program(stop_px: float) -> None:
    settings = Tvl1(variant="opencv-cuda", scales=1, warps=3, stop_px=stop_px)
    frames = scene(2, 30, 41, speed_px=1.0).float()
    expected, counts = one_level(frames, settings)
    solution = TorchTvl1(settings).solve(frames, PAIR)
    assert solution.iterations[0, 0].tolist() == counts
    assert all(count % 2 == 0 for count in counts)  # the rule looks at every second iteration at most
    assert end_point_error(solution.flow, expected[None]).max() <= 1e-3


def test_opencv_cuda_iterates_as_often_as_allowed() -> None:
    settings = Tvl1(variant="opencv-cuda", stop_px=0, inner_iterations=3, outer_iterations=7, scales=2, warps=2)
    solution = TorchTvl1(settings).solve(scene(2, 40, 40), PAIR)
    assert solution.iterations.tolist() == [[[21, 21], [21, 21]]]


def test_opencv_cuda_differs_as_little_as_it_should() -> None:
    frames = scene(2, 120, 150)
    cuda = TorchTvl1(Tvl1(variant="opencv-cuda"))(frames, PAIR)
    parity = compare(cuda, TorchTvl1(Tvl1())(frames, PAIR))
    assert 0.005 < parity.median_px < 0.1
    assert parity.within_level > 0.95


# --- what it says of its work ---------------------------------------------------------------------------------------


def test_iterations_of_equal_frames() -> None:
    """Nothing changes: seen at once, on GPUs at the second iteration, the first at which the rule looks."""
    frames = scene(1, 64, 80).expand(2, -1, -1)
    for variant, expected in (("opencv", 1), ("opencv-cuda", 2)):
        solution = TorchTvl1(Tvl1(variant=variant)).solve(frames, PAIR)
        assert solution.iterations.shape == (1, 5, 5)
        assert solution.iterations.dtype == torch.int32
        assert (solution.iterations == expected).all()
        assert not solution.flow.any()


def test_pixel_iterations() -> None:
    sizes = level_sizes(64, 80, 5, 0.8)
    settings = Tvl1(stop_px=0, inner_iterations=2, outer_iterations=3, warps=1)
    frames = scene(2, 64, 80)
    work = pixel_iterations(TorchTvl1(settings).solve(frames, PAIR).iterations, sizes)
    assert work.tolist() == [6 * sum(height * width for height, width in sizes)]


def test_denormal_numbers_are_as_before() -> None:
    denormal = torch.tensor([1e-39])
    assert (denormal * 0.5).item() > 0
    TorchTvl1(Tvl1(warps=1))(scene(2, 20, 20), PAIR)
    assert (denormal * 0.5).item() > 0


def test_small_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, got 40 x 15"):
        TorchTvl1(Tvl1())(torch.zeros(2, 15, 40), PAIR)


def test_of_a_batch_on_one_device_all_pairs_share_the_work() -> None:
    """The batch that GPUs compute at once, in which pairs stop at different times: each as if it were alone."""
    frames = scene(5, 40, 50, speed_px=2.0)
    pairs = torch.cat([neighbours(5), torch.tensor([[2, 2], [4, 0]])])
    engine = TorchTvl1(Tvl1())
    images = frames[pairs].float()
    sizes = level_sizes(40, 50, 5, 0.8)
    with torch.inference_mode():
        together, counts = engine._solve(images, None, sizes)
    alone = engine.solve(frames, pairs)
    assert torch.equal(counts, alone.iterations)
    assert len(counts.flatten(1).sum(1).unique()) > 3  # they do stop at different times
    torch.testing.assert_close(together, alone.flow, rtol=0, atol=1e-6)
