"""The engine on processors: its flow against OpenCV's and the PyTorch definition."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from flow_frames import textured

from mml_core.config.flow import Tvl1
from mml_core.flow.numba.engine import NumbaTvl1
from mml_core.flow.torch.reference import TorchTvl1

PAIR = torch.tensor([[0, 1]])


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
        "from mml_core.flow.numba.engine import NumbaTvl1;"
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
