from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from flow_frames import moved, neighbours, scene, translation
from numpy.typing import NDArray
from torch import Tensor

from mml_core.config.flow import Dis, Farneback, Tvl1
from mml_core.flow.engine import PairEngine
from mml_core.flow.opencv import OpenCvDis, OpenCvFarneback, OpenCvTvl1
from mml_core.flow.parity import end_point_error

PAIR = torch.tensor([[0, 1]])
TVL1 = Tvl1(scales=2, warps=2)
ENGINES = {
    "tvl1": OpenCvTvl1(TVL1),
    "dis": OpenCvDis(Dis(method="dis")),
    "farneback": OpenCvFarneback(Farneback(method="farneback")),
}
engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())


def channels_first(field: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(field).permute(2, 0, 1)


def directly(frames: Tensor, initial: Tensor | None = None, **parameters: float) -> Tensor:
    """TV-L1 of two frames by an object made for them alone."""
    solver = cv2.optflow.DualTVL1OpticalFlow_create(**parameters)
    start = None if initial is None else np.ascontiguousarray(initial.permute(1, 2, 0).numpy())
    return channels_first(solver.calc(frames[0].numpy(), frames[1].numpy(), start))


def test_every_parameter_arrives() -> None:
    settings = Tvl1(
        time_step=0.2,
        attachment=0.2,
        tightness=0.4,
        illumination=0.05,
        scales=3,
        scale_step=0.7,
        warps=3,
        stop_px=0.03,
        inner_iterations=7,
        outer_iterations=3,
        median_px=3,
    )
    given = {
        "tau": 0.2,
        "lambda_": 0.2,
        "theta": 0.4,
        "gamma": 0.05,
        "nscales": 3,
        "scaleStep": 0.7,
        "warps": 3,
        "epsilon": 0.03,
        "innnerIterations": 7,
        "outerIterations": 3,
        "medianFiltering": 3,
    }
    frames = scene(2, 64, 80)
    expected = directly(frames, **given)
    assert torch.equal(OpenCvTvl1(settings)(frames, PAIR)[0], expected)
    for name in given:  # and each matters here
        fewer = {key: value for key, value in given.items() if key != name}
        assert not torch.equal(directly(frames, **fewer), expected), name


def test_initial_flow_is_used_and_left_alone() -> None:
    frames, initial = moved(translation(40, 50, 4.0, 1.0)).round().byte(), translation(40, 50, 3.5, 0.8)
    before = initial.clone()
    flow = OpenCvTvl1(TVL1)(frames, PAIR, initial[None])
    expected = directly(frames, initial, nscales=2, warps=2, useInitialFlow=True)
    assert torch.equal(flow[0], expected)
    assert torch.equal(initial, before)


@engines
def test_from_an_initial_flow_farther_motion_is_found(engine: PairEngine) -> None:
    truth = translation(48, 64, 14.0, 0.0)
    frames = moved(truth)
    error = [
        end_point_error(engine(frames, PAIR, start), truth[None])[0, 8:-8, 8:-24].median()
        for start in (truth[None], None)
    ]
    assert error[0] < 0.3
    assert error[1] > 2 * error[0]


def test_an_object_serves_one_size_only() -> None:
    """An object of OpenCV's that has seen small frames uses too few scales for large ones."""
    engine, small, large = OpenCvTvl1(Tvl1()), scene(2, 20, 24), scene(2, 100, 120)
    expected = directly(large)
    assert torch.equal(engine(large, PAIR)[0], expected)
    engine(small, PAIR)
    assert torch.equal(engine(large, PAIR)[0], expected)


@engines
def test_several_threads(engine: PairEngine) -> None:
    inputs = [scene(3, *size, seed=seed) for seed, size in enumerate([(40, 40), (33, 50), (40, 40), (64, 48)] * 3)]
    expected = [engine(frames, neighbours(3)) for frames in inputs]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda frames: engine(frames, neighbours(3)), inputs))
    for result, reference in zip(results, expected, strict=True):
        assert torch.equal(result, reference)


@engines
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (40, 40), (64, 16), (85, 64)])
def test_each_pair_is_computed_as_if_alone(engine: PairEngine, size: tuple[int, int]) -> None:
    frames = scene(5, *size, speed_px=1.0)
    pairs = torch.tensor([[0, 1], [3, 4], [1, 0], [2, 2]])
    flow = engine(frames, pairs)
    assert (flow.dtype, flow.shape) == (torch.float32, (4, 2, *size))
    for order in ([3, 2, 1, 0], [1], [2, 2]):
        assert torch.equal(engine(frames, pairs[order]), flow[order])


@engines
def test_frames_in_floating_point(engine: PairEngine) -> None:
    frames = scene(2, 40, 50)
    torch.testing.assert_close(engine(frames.float(), PAIR), engine(frames, PAIR), rtol=0, atol=1e-3)


@engines
def test_a_translation_is_found(engine: PairEngine) -> None:
    truth = translation(64, 80, 2.0, -1.5)
    flow = engine(moved(truth), PAIR)
    assert end_point_error(flow, truth[None])[0, 8:-8, 8:-8].mean() < 0.1


def test_equal_frames() -> None:
    frames = scene(1, 40, 50).expand(2, -1, -1).contiguous()
    assert not ENGINES["tvl1"](frames, PAIR).any()
    assert not ENGINES["dis"](frames, PAIR).any()
    # Farnebäck's polynomials at the edges: known, and what its docstring says
    flow = ENGINES["farneback"](frames, PAIR)
    assert 0 < flow.abs().max() < 0.5
    assert flow.abs().median() < 0.01


def test_presets_and_parameters_of_the_others_arrive() -> None:
    frames = scene(2, 64, 80)
    first, second = frames.numpy()
    for preset, constant in (("ultrafast", 0), ("fast", 1), ("medium", 2)):
        expected = channels_first(cv2.DISOpticalFlow_create(constant).calc(first, second, None))
        assert torch.equal(OpenCvDis(Dis(method="dis", preset=preset))(frames, PAIR)[0], expected)
    settings = Farneback(
        method="farneback",
        scales=3,
        scale_step=0.6,
        window_px=9,
        iterations=4,
        neighbourhood_px=7,
        smoothing_px=1.5,
    )
    expected = channels_first(cv2.calcOpticalFlowFarneback(first, second, None, 0.6, 3, 9, 4, 7, 1.5, 0))
    assert torch.equal(OpenCvFarneback(settings)(frames, PAIR)[0], expected)


def test_what_opencv_cannot() -> None:
    with pytest.raises(ValueError, match="without CUDA"):
        OpenCvTvl1(Tvl1(variant="opencv-cuda"))


@engines
def test_small_frames_are_refused(engine: PairEngine) -> None:
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, got 15 x 40"):
        engine(torch.zeros(2, 40, 15), PAIR)
