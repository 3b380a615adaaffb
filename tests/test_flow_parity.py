"""What every TV-L1 engine has to do, whatever it is made of; engines for GPUs have tests of their own beside these."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from flow_frames import moved, neighbours, real_frames, scene, sinusoid, translation
from torch import Tensor

from benchmarks.flow import parity
from benchmarks.flow.clips import synthetic_clips
from mml_core.config.flow import Tvl1
from mml_core.flow import choose_engine
from mml_core.flow.engine import PairEngine
from mml_core.flow.parity import Parity, compare, end_point_error

pytestmark = pytest.mark.long

PAIR = torch.tensor([[0, 1]])
SIZES = [(256, 340), (224, 224)]
ODD_SIZES = [(16, 16), (17, 16), (16, 33), (19, 21), (31, 45), (37, 64), (63, 41)]
FIXED = {"stop_px": 0, "inner_iterations": 10, "outer_iterations": 1}

engines = pytest.mark.parametrize("name", ["torch", "numba"])
variants = pytest.mark.parametrize("variant", ["opencv", "opencv-cuda"])


def make(name: str, **settings: object) -> PairEngine:
    if name == "numba":
        pytest.importorskip("numba")
    return choose_engine(Tvl1(**settings), name, device=torch.device("cpu"))


def check_acceptance(total: Parity, worst: float) -> None:
    """OpenCV differs from itself by 0.003 and 0.05 pixels and 99.6 % if 0.001 grey levels of noise are added."""
    assert total.median_px <= 0.01
    assert total.p95_px <= 0.06
    assert total.within_level >= 0.99
    assert worst >= 0.97


# --- parity with OpenCV ---------------------------------------------------------------------------------------------


@functools.cache
def clips(data: Path, size: tuple[int, int]) -> list[Tensor]:
    """Two frames each of clips with large motion, a face in a car, people, and a hand."""
    wanted = [
        ("clips/bikes.mp4", 10, 2),
        ("clips/carphone_pristine.mp4", 20, 1),
        ("clips/demo.mp4", 60, 1),
        ("gestures/right/testvideo_right_1.mp4", 12, 1),
    ]
    return [real_frames(data / name, 2, size, start, stride) for name, start, stride in wanted]


@functools.cache
def by_opencv(data: Path, size: tuple[int, int]) -> list[Tensor]:
    return [make("opencv")(frames, PAIR) for frames in clips(data, size)]


@engines
@pytest.mark.parametrize("size", SIZES, ids=["340x256", "224x224"])
def test_parity_on_real_clips(real_data: Path, name: str, size: tuple[int, int]) -> None:
    engine, references = make(name), by_opencv(real_data, size)
    fields = [engine(frames, PAIR) for frames in clips(real_data, size)]
    each = [compare(flow, reference) for flow, reference in zip(fields, references, strict=True)]
    assert max(reference.abs().max() for reference in references) > 8  # there is large motion
    check_acceptance(compare(torch.cat(fields), torch.cat(references)), min(parity.within_level for parity in each))


@engines
@pytest.mark.parametrize("size", SIZES, ids=["340x256", "224x224"])
def test_parity_on_synthetic_scenes(name: str, size: tuple[int, int]) -> None:
    frames = scene(2, *size)
    parity = compare(make(name)(frames, PAIR), make("opencv")(frames, PAIR))
    check_acceptance(parity, parity.within_level)


@functools.cache
def fast_scene(size: tuple[int, int], dx: float, dy: float) -> tuple[Tensor, Tensor]:
    """Two frames of a texture that moves by more than ten pixels, with camera noise, and OpenCV's flow."""
    frames = moved(translation(*size, dx, dy), seed=3, grain=4.0)
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))
    frames = (frames + 1.5 * noise).clamp(0, 255).round().byte()
    return frames, make("opencv")(frames, PAIR)


@engines
@pytest.mark.parametrize("size", SIZES, ids=["340x256", "224x224"])
@pytest.mark.parametrize(("dx", "dy"), [(11.0, -4.0), (-7.5, 9.0)])
def test_parity_on_large_motion(name: str, size: tuple[int, int], dx: float, dy: float) -> None:
    frames, reference = fast_scene(size, dx, dy)
    assert reference.norm(dim=1).median() > 10
    parity = compare(make(name)(frames, PAIR), reference)
    check_acceptance(parity, parity.within_level)


@engines
@pytest.mark.parametrize("size", ODD_SIZES)
def test_parity_at_odd_sizes_after_fixed_iterations(name: str, size: tuple[int, int]) -> None:
    frames = moved(sinusoid(*size, amplitude_px=1.5, length_px=50.0))
    parity = compare(make(name, **FIXED)(frames, PAIR), make("opencv", **FIXED)(frames, PAIR))
    assert parity.median_px <= 1e-3
    assert parity.within_level >= 0.99


@variants
@pytest.mark.parametrize("changes", [{}, {"median_px": 3}, {"scale_step": 0.5, "warps": 3}, {"scales": 1}], ids=str)
def test_engines_agree(variant: str, changes: dict[str, float]) -> None:
    """With the reference, iterations included, but for the few warps where rounding decides when a pair stops."""
    if variant == "opencv-cuda" and "median_px" in changes:
        pytest.skip("opencv-cuda has no median")
    frames, settings = scene(3, 61, 84, speed_px=1.5), {"variant": variant, **changes}
    pairs = torch.tensor([[0, 1], [2, 1]])
    solution, reference = (make(name, **settings).solve(frames, pairs) for name in ("numba", "torch"))
    parity = compare(solution.flow, reference.flow)
    check_acceptance(parity, parity.within_level)
    assert solution.iterations.shape == reference.iterations.shape
    near = (solution.iterations - reference.iterations).abs() <= 3
    assert near.double().mean() >= 0.9


@variants
def test_engines_agree_where_levels_are_of_one_size(variant: str) -> None:
    settings = {"variant": variant, "scale_step": 0.99, "scales": 3}
    frames = scene(2, 40, 44)
    solution, reference = (make(name, **settings).solve(frames, PAIR) for name in ("numba", "torch"))
    assert compare(solution.flow, reference.flow).p95_px <= 0.06


@engines
@variants
def test_initial_flow(name: str, variant: str) -> None:
    truth = translation(70, 90, 9.0, -5.0)
    frames, engine = moved(truth), make(name, variant=variant, scales=2)
    near = engine(frames, PAIR, truth[None] + 0.3)
    assert end_point_error(near, truth[None])[0, 12:-12, 12:-20].mean() < 0.1
    reference = make("torch", variant=variant, scales=2)(frames, PAIR, truth[None] + 0.3)
    assert compare(near, reference).median_px <= 0.01


# --- known fields ---------------------------------------------------------------------------------------------------


@engines
@variants
def test_equal_frames_have_exactly_no_flow(name: str, variant: str) -> None:
    frames = scene(1, 48, 63).expand(3, -1, -1).contiguous()
    assert not make(name, variant=variant)(frames, neighbours(3)).any()


@engines
@variants
@pytest.mark.parametrize(("dx", "dy"), [(1.5, -0.8), (-0.3, 0.2), (6.0, 4.0)])
def test_a_known_translation(name: str, variant: str, dx: float, dy: float) -> None:
    """Within 0.07 pixels on average, 8 pixels from the edges, beyond which a part of the scene leaves the image."""
    truth = translation(96, 128, dx, dy)
    flow = make(name, variant=variant)(moved(truth), PAIR)
    assert end_point_error(flow, truth[None])[0, 8:-8, 8:-8].mean() < 0.07


@engines
@variants
@pytest.mark.parametrize(("amplitude_px", "length_px"), [(1.0, 60.0), (2.0, 80.0)])
def test_a_known_sinusoid(name: str, variant: str, amplitude_px: float, length_px: float) -> None:
    """Within 0.13 pixels on average, 0.5 everywhere: smoothness costs a share of the amplitude."""
    truth = sinusoid(96, 128, amplitude_px, length_px)
    error = end_point_error(make(name, variant=variant)(moved(truth), PAIR), truth[None])[0, 8:-8, 8:-8]
    assert error.mean() < 0.13
    assert error.max() < 0.5


# --- batches --------------------------------------------------------------------------------------------------------


@engines
@variants
def test_a_pair_is_computed_as_if_alone(name: str, variant: str) -> None:
    """To the last bit, whatever else is in the batch, in any order, from 8 bits and from floating point."""
    frames = torch.cat([scene(3, 33, 45, speed_px=1.5), scene(1, 33, 45, seed=9).expand(2, -1, -1)])
    pairs = torch.tensor([[0, 1], [1, 2], [3, 4], [2, 0], [1, 4]])
    engine = make(name, variant=variant)
    solution = engine.solve(frames, pairs)
    assert (solution.flow.dtype, solution.flow.shape) == (torch.float32, (5, 2, 33, 45))
    assert solution.flow.isfinite().all()
    assert len(solution.iterations.flatten(1).sum(1).unique()) > 3  # pairs stop at different times
    for order in ([4, 3, 2, 1, 0], [1, 3]):
        again = engine.solve(frames, pairs[order])
        assert torch.equal(again.flow, solution.flow[order])
        assert torch.equal(again.iterations, solution.iterations[order])
    assert torch.equal(engine(frames.float(), pairs), solution.flow)
    assert engine(frames, pairs[:0]).shape == (0, 2, 33, 45)


def test_threads_do_not_change_a_bit() -> None:
    pytest.importorskip("numba")
    frames = scene(4, 33, 50)
    one, two = (choose_engine(Tvl1(), "numba", device=torch.device("cpu"), threads=n) for n in (1, 2))
    assert torch.equal(one(frames, neighbours(4)), two(frames, neighbours(4)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@variants
def test_the_reference_on_a_gpu(variant: str) -> None:
    frames, pairs = scene(4, 64, 85, speed_px=2.0), torch.tensor([[0, 1], [1, 2], [3, 3], [3, 0]])
    engine = choose_engine(Tvl1(variant=variant), "torch", device=torch.device("cuda"))
    flow = engine(frames.cuda(), pairs)
    assert torch.equal(engine(frames.cuda(), pairs[[2, 0]]), flow[[2, 0]])
    check_acceptance(parity := compare(flow.cpu(), make("torch", variant=variant)(frames, pairs)), parity.within_level)


MEMORY = """
import sys, torch
from pathlib import Path
from mml_core.config.flow import Tvl1
from mml_core.flow import choose_engine, optical_flow
torch.set_num_threads(1)
settings = Tvl1(warps=1, stop_px=0, inner_iterations=1, outer_iterations=1)
engine = choose_engine(settings, sys.argv[1], device=torch.device("cpu"))
frames = (torch.rand(65, 256, 340) * 255).byte()
optical_flow([frames], engine)
status = Path("/proc/self/status").read_text()  # ru_maxrss starts with the parent's peak
print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("name", ["torch", "numba", "opencv"])
def test_64_pairs_take_less_than_2_gb(name: str) -> None:
    """The whole process, Python and libraries included."""
    if name == "numba":
        pytest.importorskip("numba")
    done = subprocess.run([sys.executable, "-c", MEMORY, name], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 2e9


# --- the distances, and the table made of them ----------------------------------------------------------------------


def test_distances_by_hand() -> None:
    """A level is 40 / 255 = 0.157 pixels; 200 pixels, 400 values, of which three are more than a level off."""
    reference, flow = torch.zeros(2, 2, 10, 10), torch.zeros(2, 2, 10, 10)
    flow[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    flow[1, 0, 2, :8] = 0.15
    reference[1, 1, 5, 5], flow[1, 1, 5, 5] = 25.0, 45.0  # beyond ±20 both
    flow[1, 1, 7, 7] = -1.0
    error = end_point_error(flow, reference)
    assert (error[0, 0, 0], error[1, 5, 5], error[1, 7, 7]) == (5.0, 20.0, 1.0)
    parity = compare(flow, reference)
    assert parity.mean_px == pytest.approx((5 + 8 * 0.15 + 20 + 1) / 200)
    assert parity.median_px == 0
    assert parity.p95_px == pytest.approx(0.15)  # the 190th of 200 errors, of which the last eleven are not 0
    assert parity.within_level == pytest.approx(397 / 400)


def test_the_table_of_the_benchmark() -> None:
    clips = synthetic_clips(24, 32, 3)[:2]
    contestants = [parity.opencv(0.001), parity.own_contestant("torch", "opencv", torch.device("cpu"))]
    rows = list(parity.measure(contestants, clips, ("today", "here", "these")))
    assert [(row.engine, row.clip, row.pairs) for row in rows] == [
        (engine, clip, pairs)
        for engine in ("opencv, noise 0.001", "torch")
        for clip, pairs in (("still", 2), ("pan", 2), ("all", 4))
    ]
    assert all(0 < row.mean_px < 0.5 and 0.9 < row.within_level <= 1 for row in rows)
    work = [(row.iterations_per_pair, row.mpx_iterations_per_pair) for row in rows]
    assert work[:3] == [("", "")] * 3
    iterations, mpx = work[5]
    assert 50 < iterations < 7500
    assert mpx * 1e6 <= iterations * 24 * 32
