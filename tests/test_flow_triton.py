from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mml_core.config.flow import Tvl1

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton"),
    pytest.mark.skipif(INTERPRETED, reason="needs the kernels themselves; the interpreter has tests of its own"),
]

#: What a multiprocessor of an H100 or H200 (compute capability 9.0) has.
REGISTERS = 65536
LARGEST_SHARED_BYTES = 227 * 1024


def neighbours(count: int) -> torch.Tensor:
    """Pairs (count - 1, 2) of neighbouring frames."""
    return torch.stack([torch.arange(count - 1), torch.arange(1, count)], 1)


def scene(frames: int, height: int, width: int) -> torch.Tensor:
    """Frames (T, H, W), uint8: a textured disc that moves before a textured ground that drifts, with noise.

    Made with torch alone, for GPU machines that have little else.
    """
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(height) * 1.0, torch.arange(width) * 1.0, indexing="ij")
    turns, phases = torch.rand((2, 12, 2), generator=generator) * 0.6 - 0.3, torch.rand(12, generator=generator) * 6

    def texture(place: int, dx: float, dy: float) -> torch.Tensor:
        waves = [torch.sin(a * (x - dx) + b * (y - dy) + c) for (a, b), c in zip(turns[place], phases, strict=True)]
        return 128 + 14 * torch.stack(waves).sum(0)

    images = []
    for t in range(frames):
        inside = (x - width / 3 - 4 * t) ** 2 + (y - height / 2 - t) ** 2 < (height / 4) ** 2
        image = torch.where(inside, texture(0, 4 * t, t), texture(1, -0.7 * t, 0.4 * t))
        images.append(image + 1.5 * torch.randn((height, width), generator=generator))
    return torch.stack(images).clamp(0, 255).round().byte()


def test_kernels_compute_what_the_reference_does_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x", "flow_triton_interpreted.py"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    folder = Path(__file__).parent
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout and " skipped" not in ran.stdout


@pytest.mark.parametrize(
    ("name", "settings", "tuning"),
    [
        ("iterate", Tvl1(), {}),
        ("iterate", Tvl1(), {"prefetch": True, "registers": 168}),
        ("smooth", Tvl1(), {}),
        ("smooth", Tvl1(median_px=3), {}),
        ("linearise", Tvl1(), {}),
        ("linearise", Tvl1(variant="opencv-cuda"), {}),
        ("advance", Tvl1(), {}),
        ("advance", Tvl1(variant="opencv-cuda"), {}),
    ],
    ids=lambda value: f"{value.variant} {value.median_px}" if isinstance(value, Tvl1) else str(value),
)
def test_kernels_fit_an_h200(name: str, settings: Tvl1, tuning: dict[str, int]) -> None:
    from mml_core.flow.triton.compile import compile_kernel, kernels
    from mml_core.flow.triton.tuning import Tuning, constants

    compiled = constants(settings, Tuning(**tuning), most_tiles=24)._asdict()[name]
    resources = compile_kernel(kernels()[name], compiled)
    assert resources.stack_bytes == 0  # no register is spilled
    assert resources.shared_bytes <= LARGEST_SHARED_BYTES
    assert resources.registers * compiled["num_warps"] * 32 * 8 <= REGISTERS  # eight programs side by side
    if name == "iterate":
        assert resources.shared_bytes == 0  # neighbours are in registers
        assert any(loop["SHFL"] for loop in resources.loops)


def test_it_says_why_it_cannot_be_made() -> None:
    from mml_core.flow.triton.engine import TritonTvl1

    with pytest.raises(ValueError, match="needs a GPU"):
        TritonTvl1(Tvl1(), torch.device("cpu"))
    with pytest.raises(ValueError, match="illumination"):
        TritonTvl1(Tvl1(illumination=1.0))
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="finds none"):
            TritonTvl1(Tvl1(), torch.device("cuda"))


@pytest.mark.parametrize(("width", "strips"), [(16, 1), (64, 1), (65, 2), (120, 2), (121, 3), (340, 6)])
def test_strips_cover_the_columns(width: int, strips: int) -> None:
    from mml_core.flow.triton.layout import make_level

    level = make_level(100, width, block=4, tile_rows=64)
    assert level.strips == strips and level.tiles == 2 * strips and level.rows == 50
    columns = [strip * 56 + x for strip in range(strips) for x in range(64) if _comes_out_right(strip, x, strips, 4)]
    assert len(columns) == len(set(columns)) and set(range(width)) <= set(columns)


def _comes_out_right(strip: int, x: int, strips: int, block: int) -> bool:
    return (strip == 0 or x >= block) and (strip == strips - 1 or x < 64 - block)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
class TestOnGpu:
    """Full size, against the reference on the same GPU; needs torch and Triton alone: pytest -m gpu --noconftest."""

    @pytest.mark.parametrize("size", [(256, 340), (224, 224), (97, 131), (16, 16)])
    @pytest.mark.parametrize("variant", ["opencv", "opencv-cuda"])
    def test_flow_is_that_of_the_reference(self, variant: str, size: tuple[int, int]) -> None:
        from mml_core.flow.torch.reference import TorchTvl1
        from mml_core.flow.triton.engine import TritonTvl1

        settings, device = Tvl1(variant=variant), torch.device("cuda")
        frames, pairs = scene(5, *size).to(device), neighbours(5)
        expected = TorchTvl1(settings, device).solve(frames, pairs)
        found = TritonTvl1(settings, device).solve(frames, pairs)
        distance = (found.flow - expected.flow).norm(dim=1).flatten()
        assert distance.median() <= 0.01
        assert distance.sort().values[int(0.95 * len(distance))] <= 0.06
        assert found.iterations.sum().item() == pytest.approx(expected.iterations.sum().item(), rel=0.05)

    def test_fixed_iterations_are_those_of_the_reference(self) -> None:
        from mml_core.flow.torch.reference import TorchTvl1
        from mml_core.flow.triton.engine import TritonTvl1

        settings, device = Tvl1(stop_px=0, inner_iterations=10, outer_iterations=1), torch.device("cuda")
        frames, pairs = scene(3, 256, 340).to(device), neighbours(3)
        expected = TorchTvl1(settings, device).solve(frames, pairs)
        found = TritonTvl1(settings, device).solve(frames, pairs)
        assert torch.equal(found.iterations, expected.iterations)
        assert (found.flow - expected.flow).norm(dim=1).median() <= 1e-3

    def test_a_pair_does_not_depend_on_its_batch(self) -> None:
        from mml_core.flow.triton.engine import TritonTvl1

        engine = TritonTvl1(Tvl1())
        frames = scene(9, 120, 213).cuda()
        together = engine.solve(frames, neighbours(9))
        backwards = engine.solve(frames, neighbours(9).flip(0))
        assert torch.equal(together.flow, backwards.flow.flip(0))
        for t in (0, 7):
            alone = engine.solve(frames[t : t + 2], neighbours(2))
            assert torch.equal(alone.flow[0], together.flow[t])
            assert torch.equal(alone.iterations[0], together.iterations[t])
        assert not engine(frames, torch.tensor([[3, 3]])).any()

    def test_slots_of_pairs_that_are_done_go_to_pairs_that_wait(self) -> None:
        from mml_core.flow.triton.engine import TritonTvl1
        from mml_core.flow.triton.tuning import Tuning

        frames = scene(9, 60, 83)
        frames = frames[torch.arange(64) % 9]
        expected = TritonTvl1(Tvl1()).solve(frames, neighbours(64))
        found = TritonTvl1(Tvl1(), tuning=Tuning(slot_px=7 * 60 * 83)).solve(frames, neighbours(64))
        assert torch.equal(found.flow, expected.flow) and torch.equal(found.iterations, expected.iterations)

    def test_working_bytes_are_what_a_batch_takes(self) -> None:
        from mml_core.flow.triton.engine import TritonTvl1

        engine = TritonTvl1(Tvl1())
        for count in (9, 41):
            frames = scene(2, 224, 224)[torch.arange(count) % 2].cuda()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated() - frames.numel()
            flow = engine(frames, neighbours(count))
            taken, said = torch.cuda.max_memory_allocated() - before, engine.working_bytes(224, 224, count - 1, count)
            del flow, frames
            assert 0.8 * said <= taken <= 1.05 * said
