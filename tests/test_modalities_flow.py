"""Flow shards: by any engine, in batches across videos, on a GPU that may fail; grey levels; where the time went."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from frame_shards import shard_of_images, shard_of_videos
from video_files import numbered_frames, shifted_frames

from mml_core.config.dataset import FlowModality
from mml_core.config.flow import Dis, Farneback, Tvl1
from mml_core.errors import InputError
from mml_core.flow.grey import to_grey
from mml_core.modalities import flow, timing
from mml_core.modalities.derived import Schedule
from mml_core.modalities.quantise import flow_to_levels, levels_to_flow
from mml_core.modalities.timing import PartTimes
from mml_core.shards import ModalityStore

BOUND_PX = FlowModality().bound_px


def test_grey_is_that_of_opencv_for_every_colour() -> None:
    """Every pair of red and green with each blue of a sample that holds the ends."""
    red, green = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    blues = [0, 1, 127, 128, 254, 255, *np.random.default_rng(0).integers(2, 254, 26).tolist()]
    frames = np.stack([np.stack([red, green, np.full_like(red, blue)]) for blue in blues])
    grey = to_grey(torch.from_numpy(frames)).numpy()
    for frame, found in zip(frames, grey, strict=True):
        assert np.array_equal(found, cv2.cvtColor(np.ascontiguousarray(frame.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY))


def test_making_flow_needs_neither_opencv_nor_ffmpeg() -> None:
    program = "import sys, mml_core.modalities.flow; print({'cv2', 'av', 'ffmpeg', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_batches_across_videos_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU is given, blocks of several videos and sizes together, computed on the processor."""
    shapes = {"a": (7, 32, 40), "b": (3, 32, 40), "c": (6, 48, 32), "d": (2, 48, 32), "e": (5, 32, 40)}
    videos = {
        name: shifted_frames([(n % 3, seed - n) for n in range(count)], height, width)
        for seed, (name, (count, height, width)) in enumerate(shapes.items())
    }
    rgb = shard_of_videos(tmp_path / "rgb.h5", videos)
    sizes: list[list[tuple[int, ...]]] = []
    optical_flow = flow.optical_flow
    monkeypatch.setattr(
        flow,
        "optical_flow",
        lambda clips, engine: sizes.append([c.shape for c in clips]) or optical_flow(clips, engine),
    )
    settings, contents = FlowModality(algorithm=Tvl1(scales=2, warps=2)), set()
    for schedule in (Schedule(2, 2, 8), Schedule(2, 1, 4, 10 * 32 * 40), Schedule(2, 1, 2, 1 << 20)):
        sizes.clear()
        monkeypatch.setattr(flow, "_schedule", lambda engine, threads, schedule=schedule: schedule)
        flow.make_flow_shard(rgb, "flow", settings, tmp_path / "flow.h5", 2, engine="torch")
        contents.add((tmp_path / "flow.h5").read_bytes())
    assert len(contents) == 1
    assert [len(batch) for batch in sizes] == [4, 4, 2], "the videos a and b, c and d, and e"
    assert sizes[1] == [(3, 48, 32), (3, 48, 32), (2, 48, 32), (2, 48, 32)], "one frame is shared, and no pair lost"
    entries = ModalityStore([tmp_path / "flow.h5"]).videos
    assert {name: entry.count + 1 for name, entry in entries.items()} == {name: s[0] for name, s in shapes.items()}


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (RuntimeError("CUDA error: launch failure\nCompile with …"), InputError, "the GPU failed .*launch failure\n"),
        (RuntimeError("Triton Error [CUDA]: illegal access"), InputError, "the GPU failed .*\n.*Hint: .*device: cpu"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), InputError, "no memory for the flow of one pair"),
        (RuntimeError("a fault of ours"), RuntimeError, "a fault of ours"),
    ],
)
def test_a_gpu_that_fails_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError, kind: type[Exception], told: str
) -> None:
    rgb = shard_of_images(tmp_path / "rgb.h5", numbered_frames(4, 32, 32))

    def fail(clips: object, engine: object) -> None:
        raise error

    monkeypatch.setattr(flow, "optical_flow", fail)
    with pytest.raises(kind, match=told):
        flow.make_flow_shard(rgb, "flow", FlowModality(), tmp_path / "flow.h5", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["rgb.h5"], "and leaves nothing"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_shard_of_a_processor(tmp_path: Path) -> None:
    videos = {"a": shifted_frames([(2 * n, n) for n in range(9)], 96, 128), "b": numbered_frames(3, 64, 64)}
    rgb = shard_of_videos(tmp_path / "rgb.h5", videos)
    levels = {}
    for device in ("cpu", "cuda"):
        flow.make_flow_shard(rgb, "flow", FlowModality(), tmp_path / "flow.h5", 2, device=torch.device(device))
        store = ModalityStore([tmp_path / "flow.h5"])
        assert ("gpu" in store.info.software) == (device == "cuda")
        assert store.videos["a"].count == 8
        levels[device] = store.read("a", range(8), 1).numpy().astype(int)
    assert (np.abs(levels["cpu"] - levels["cuda"]) <= 1).mean() > 0.99
    frames = torch.from_numpy(videos["a"]).permute(0, 3, 1, 2)
    assert torch.equal(to_grey(frames.cuda()).cpu(), to_grey(frames))
    field = torch.randn(2, 50, 70) * 20
    assert torch.equal(flow_to_levels(field.cuda(), BOUND_PX).cpu(), flow_to_levels(field, BOUND_PX))


def test_other_algorithms_and_engines_are_recorded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rgb = shard_of_images(tmp_path / "rgb.h5", shifted_frames([(2 * n, n) for n in range(3)], 64, 80))
    for algorithm, engine, name, package in (
        (Tvl1(), "auto", "numba", "numba"),
        (Tvl1(), "opencv", "opencv", "opencv"),
        (Tvl1(scales=2), "torch", "torch", "torch"),
        (Dis(method="dis"), "auto", "opencv", "opencv"),
        (Farneback(method="farneback"), "torch", "opencv", "opencv"),
    ):
        settings = FlowModality(algorithm=algorithm, quality=100)
        flow.make_flow_shard(rgb, "mine", settings, tmp_path / "flow.h5", 2, engine=engine)
        store = ModalityStore([tmp_path / "flow.h5"])
        assert store.info.software["engine"] == name
        assert package in store.info.software
        x, y = levels_to_flow(store.read("v", [1], 1)[0].numpy(), BOUND_PX)[:, 16:-16, 16:-16]
        assert (np.median(x), np.median(y)) == pytest.approx((2, 1), abs=0.25), algorithm
        said = capfd.readouterr().out
        assert f"by engine {name} (2 threads)" in said
        assert re.search(
            r"mine: 2 frame pairs in .* a second; thread-seconds: .*read .*grey .*flow .*quantise .*", said
        )
        assert "encode" in said
        assert "write" in said
    with pytest.raises(InputError, match="engine triton needs a GPU"):
        flow.make_flow_shard(rgb, "mine", FlowModality(), tmp_path / "flow.h5", 2, engine="triton")


def test_times_of_parts_add_up_over_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 5.5, 6.0])  # made, flow begins, flow ends, summary
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    times = PartTimes()
    times.add("read", 2.0)
    with times.of("flow"):
        pass
    times.add("read", -0.5)
    assert dict(times.seconds) == {"read": 1.5, "flow": 0.5}
    assert list(times.seconds) == ["read", "flow"]
    expected = "12 pairs in 6.0 s, 2.0 a second; thread-seconds: read 1.5 s (75%), flow 0.5 s (25%)"
    assert times.summary(12, "pairs") == expected
