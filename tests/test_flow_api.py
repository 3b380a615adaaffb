"""Clips of any lengths and sizes go through an engine in batches, and come back as if each pair had been alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mml_core.config.flow import Dis, Farneback, Tvl1
from mml_core.errors import InputError
from mml_core.flow import choose_engine, optical_flow
from mml_core.flow.api import _budget
from mml_core.flow.engine import PairEngine


class Recorder:
    """An engine whose "flow" names the two frames, and which fails like a GPU on batches above `fits` pairs."""

    name = "recorder"
    device = torch.device("cpu")

    def __init__(self, fits: int = 10**6) -> None:
        self.fits = fits
        self.batches: list[int] = []
        self.bytes: list[tuple[int, int]] = []  # of each batch, and at most with a pair more

    def __call__(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> torch.Tensor:
        if len(pairs) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.batches.append(len(pairs))
        size = (*frames.shape[1:], len(pairs), len(frames))
        self.bytes.append((self.working_bytes(*size), self.working_bytes(*size[:2], len(pairs) + 1, len(frames) + 2)))
        flow = torch.stack([frames[pairs[:, 0]], frames[pairs[:, 1]]], 1).float()
        return flow if initial is None else flow + initial

    def working_bytes(self, height: int, width: int, pairs: int, frames: int) -> int:
        return (2 * pairs + 3 * frames) * height * width + 100


def numbered(lengths: list[int], height: int = 16, width: int = 17) -> list[torch.Tensor]:
    """Clips whose every frame is filled with its own number, counted over all clips."""
    numbers = iter(range(256))
    return [
        torch.stack([torch.full((height, width), next(numbers), dtype=torch.uint8) for _ in range(length)])
        for length in lengths
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(8, 60))
def test_each_pair_is_computed_once_in_batches_within_the_budget(lengths: list[int], fields: int) -> None:
    clips, engine, budget = numbered(lengths), Recorder(), fields * 16 * 17 + 100
    flows = optical_flow(clips, engine, memory_bytes=budget)
    for clip, flow in zip(clips, flows, strict=True):
        assert flow.shape == (len(clip) - 1, 2, 16, 17) and flow.dtype == torch.float32
        assert torch.equal(flow[:, 0], clip[:-1].float()) and torch.equal(flow[:, 1], clip[1:].float())
    assert sum(engine.batches) == sum(lengths) - len(lengths)
    assert all(taken <= budget for taken, _ in engine.bytes)
    assert all(more > budget for _, more in engine.bytes[:-1])  # no batch but the last has room for more


def test_clips_of_several_sizes_come_back_in_their_order() -> None:
    clips = [*numbered([3]), *numbered([2], 20, 16), *numbered([4])]
    engine = Recorder()
    flows = optical_flow(clips, engine)
    assert [tuple(flow.shape) for flow in flows] == [(2, 2, 16, 17), (1, 2, 20, 16), (3, 2, 16, 17)]
    assert engine.batches == [5, 1]  # those of one size together


@pytest.mark.parametrize("fits", [1, 2, 3, 5])
def test_short_gpu_memory_halves_the_batches_and_says_so(fits: int, capsys: pytest.CaptureFixture[str]) -> None:
    clips, engine = numbered([6, 2, 5]), Recorder(fits)
    flows = optical_flow(clips, engine)
    for clip, flow in zip(clips, flows, strict=True):
        assert torch.equal(flow[:, 1], clip[1:].float())
    assert max(engine.batches) <= fits
    assert "GPU memory is short, going on with batches of 5 pairs" in capsys.readouterr().out


def test_a_gpu_without_memory_for_one_pair_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        optical_flow(numbered([4]), Recorder(0))


def test_initial_flow_reaches_its_pair_in_every_batch() -> None:
    clips = numbered([4, 3])
    initial = [torch.full((3, 2, 16, 17), 1000.0), torch.full((2, 2, 16, 17), 2000.0)]
    flows = optical_flow(clips, Recorder(), initial=initial, memory_bytes=15 * 16 * 17)
    assert flows[0][:, 0, 0, 0].tolist() == [1000, 1001, 1002]
    assert flows[1][:, 0, 0, 0].tolist() == [2004, 2005]


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ([torch.zeros(3, 2, 16, 17)], "each of 2 clips, got 1"),
        ([torch.zeros(3, 2, 16, 17), torch.zeros(3, 2, 16, 17)], r"\(2, 2, 16, 17\) for clip 1, got \(3"),
        ([torch.full((3, 2, 16, 17), float("nan")), torch.zeros(2, 2, 16, 17)], "clip 0 is not finite"),
    ],
)
def test_other_initial_flow_is_refused(initial: list[torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optical_flow(numbered([4, 3]), Recorder(), initial=initial)


def test_floating_point_levels_are_those_of_opencv() -> None:
    clip = numbered([3])[0]
    assert torch.allclose(optical_flow([clip.float() / 255], Recorder())[0], optical_flow([clip], Recorder())[0])


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (torch.zeros(2, 15, 16, dtype=torch.uint8), "H, W >= 16"),
        (torch.zeros(16, 16, dtype=torch.uint8), "expected clips"),
        (torch.zeros(0, 16, 16, dtype=torch.uint8), "T >= 1"),
        (torch.zeros(2, 16, 16, dtype=torch.int64), "uint8 or floating point"),
        (torch.full((2, 16, 16), 200.0), "from 0 to 1"),
        (torch.full((2, 16, 16), float("nan")), "from 0 to 1"),
    ],
)
def test_other_clips_are_refused(clip: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optical_flow([clip], Recorder())


def test_a_budget_below_one_pair_is_refused_with_what_it_takes() -> None:
    with pytest.raises(ValueError, match=r"takes 0\.0 MB by engine recorder, more than the 0\.0 MB allowed"):
        optical_flow(numbered([2]), Recorder(), memory_bytes=100)


class Large(Recorder):
    """An engine that takes 2 GB for a pair."""

    def working_bytes(self, height: int, width: int, pairs: int, frames: int) -> int:
        return 2 * 10**9 * pairs


def test_without_a_budget_a_processor_computes_at_least_a_pair_at_a_time() -> None:
    engine = Large()
    optical_flow(numbered([3]), engine)
    assert engine.batches == [1, 1]


def _pretend_gpu(monkeypatch: pytest.MonkeyPatch, free: int, reserved: int, allocated: int) -> None:
    for name, value in (("mem_get_info", (free, 0)), ("memory_reserved", reserved), ("memory_allocated", allocated)):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)


def test_the_budget_of_a_gpu_counts_what_torch_keeps_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_gpu(monkeypatch, free=100, reserved=10_000, allocated=100)
    engine = Recorder()
    engine.device = torch.device("cuda")
    assert _budget(engine, 16, 17, None) == 8000
    assert _budget(engine, 16, 17, 5000) == 5000


def test_a_gpu_too_small_for_a_pair_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_gpu(monkeypatch, free=100, reserved=500, allocated=500)
    engine = Recorder()
    engine.device = torch.device("cuda")
    with pytest.raises(InputError, match=r"(?s)0\.0 MB that the GPU has free.*Hint.*another program"):
        optical_flow(numbered([2]), engine)


@pytest.mark.parametrize(
    ("algorithm", "name", "chosen"),
    [
        (None, "auto", "numba"),
        (Tvl1(variant="opencv-cuda"), "auto", "numba"),
        (Tvl1(illumination=0.1), "auto", "torch"),
        (Tvl1(), "torch", "torch"),
        (Tvl1(), "opencv", "opencv"),
        (Dis(method="dis"), "auto", "opencv"),
        (Farneback(method="farneback"), "numba", "opencv"),
    ],
)
def test_engine_on_a_processor(algorithm: Tvl1 | Dis | Farneback | None, name: str, chosen: str) -> None:
    engine = choose_engine(algorithm, name, device=torch.device("cpu"))  # type: ignore[arg-type]
    assert engine.name == chosen and engine.device == torch.device("cpu")
    assert engine.working_bytes(256, 340, 1, 2) > 256 * 340


@pytest.mark.parametrize(
    ("settings", "name", "message"),
    [
        (Tvl1(), "triton", "needs a GPU"),
        (Tvl1(illumination=0.1), "numba", "illumination"),
        (Tvl1(variant="opencv-cuda"), "opencv", "CUDA"),
    ],
)
def test_an_engine_that_cannot_is_an_error_with_a_hint(settings: Tvl1, name: str, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}.*Hint"):
        choose_engine(settings, name, device=torch.device("cpu"))  # type: ignore[arg-type]


class FakeTriton:
    """Stands for the Triton engine on a GPU, whose first call fails with `fault`."""

    name = "triton"
    fault: Exception | None = None

    def __init__(self, settings: Tvl1, device: torch.device) -> None:
        self.device = device

    def __call__(self, frames: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        if self.fault is not None:
            raise self.fault
        return frames.new_zeros((len(pairs), 2, *frames.shape[1:]))


def _choose_on_fake_gpu(monkeypatch: pytest.MonkeyPatch, name: str, fault: Exception | None) -> PairEngine:
    pytest.importorskip("triton")
    from mml_core.flow.triton import engine as triton_engine

    zeros = torch.zeros
    with monkeypatch.context() as patch:
        patch.setattr(triton_engine, "TritonTvl1", FakeTriton)
        patch.setattr(FakeTriton, "fault", fault)
        patch.setattr(torch, "zeros", lambda size, *, dtype, device: zeros(size, dtype=dtype))
        return choose_engine(Tvl1(), name, device=torch.device("cuda"))  # type: ignore[arg-type]


NO_COMPILER = RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nmore")


def test_auto_takes_torch_where_triton_cannot_compile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _choose_on_fake_gpu(monkeypatch, "auto", None).name == "triton"
    assert capsys.readouterr().out == ""
    engine = _choose_on_fake_gpu(monkeypatch, "auto", NO_COMPILER)
    assert (engine.name, engine.device.type) == ("torch", "cuda")
    printed = capsys.readouterr().out
    assert "Failed to find C compiler" in printed and "torch" in printed and "more" not in printed


def test_triton_by_name_says_why_it_cannot_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"(?s)Failed to find C compiler.*Hint.*gcc.*--engine auto"):
        _choose_on_fake_gpu(monkeypatch, "triton", NO_COMPILER)


@pytest.mark.parametrize("name", ["auto", "triton"])
@pytest.mark.parametrize(
    "fault", [torch.AcceleratorError("device lost"), RuntimeError("CUDA error: unspecified launch failure")], ids=str
)
def test_a_lost_gpu_is_not_taken_for_a_missing_compiler(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: RuntimeError
) -> None:
    with pytest.raises(RuntimeError) as caught:
        _choose_on_fake_gpu(monkeypatch, name, fault)
    assert caught.value is fault


@pytest.mark.gpu
def test_engine_on_a_gpu_is_triton() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    assert choose_engine().name == "triton"
    assert choose_engine(Tvl1(illumination=0.1)).name == "torch"
