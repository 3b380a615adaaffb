"""From videos to shards of all modalities: frames, flow and differences belong together, and zero stays zero."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from frame_shards import shard_of_images
from video_files import block_means, numbered_frames, read_number, shifted_frames, texture, write_video

from mml_core.config.dataset import DiffModality, FlowModality, Limits, RgbModality
from mml_core.config.flow import Tvl1
from mml_core.errors import InputError
from mml_core.modalities import diff, flow
from mml_core.modalities.quantise import levels_to_difference, levels_to_flow
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.runtime.parallel import in_order
from mml_core.shards import ModalityStore, ShardReader

BOUND_PX = 20.0


def rgb_shard(folder: Path, videos: dict[str, Path], short_side_px: int, quality: int = 90, **limits: float) -> Path:
    output = folder / "rgb.h5"
    settings = RgbModality(short_side_px=short_side_px, quality=quality)
    make_rgb_shard(videos, "rgb", settings, Limits(**limits), output, 2)
    return output


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModalityStore]:
    """All three modalities of a video of 22 frames that carry their number; odd sizes."""
    folder = tmp_path_factory.mktemp("numbered")
    other = write_video(folder / "other.mp4", numbered_frames(5, 64, 64)[::-1])
    video = write_video(folder / "v.mp4", numbered_frames(22, 91, 125))
    rgb = rgb_shard(folder, {"a": other, "v": video, "z": other}, 51)
    diff.make_diff_shard(rgb, "diff", DiffModality(), folder / "diff.h5", 2)
    quick = Tvl1(warps=1, outer_iterations=1, inner_iterations=2)  # blocks that jump take long to follow
    flow.make_flow_shard(rgb, "flow", FlowModality(algorithm=quick), folder / "flow.h5", 2)
    return {name: ModalityStore([folder / f"{name}.h5"]) for name in ("rgb", "flow", "diff")}


def test_counts_and_sizes(numbered: dict[str, ModalityStore]) -> None:
    counts = {name: [entry.count for entry in store.videos.values()] for name, store in numbered.items()}
    assert counts == {"rgb": [5, 22, 5], "flow": [4, 21, 4], "diff": [4, 21, 4]}
    for store in numbered.values():
        entry = store.videos["v"]
        assert (entry.height, entry.width, entry.frame_rate) == (51, 70, 25.0)
    assert numbered["flow"].info.bound_px == BOUND_PX
    assert numbered["flow"].info.source["settings"]["short_side_px"] == 51
    assert {"engine", "simplejpeg", "mml_core"} <= set(numbered["flow"].info.software)


def test_frames_carry_their_numbers(numbered: dict[str, ModalityStore]) -> None:
    frames = numbered["rgb"].read("v", [0, 7, 19, 21, 40], 2)
    numbers = [[read_number(frame.permute(1, 2, 0).numpy()) for frame in row.split(3)] for row in frames]
    assert numbers == [[0, 1], [7, 8], [19, 20], [21, 21], [21, 21]]


def test_differences_are_aligned_with_frames(numbered: dict[str, ModalityStore]) -> None:
    """Difference t is frame t + 1 minus frame t, in each of the places that a stack reads, clamped ones included."""
    drawn = np.stack([block_means(frame[..., 0]) for frame in numbered_frames(22, 91, 125)])
    expected = np.diff(drawn, axis=0)  # (21, 16), each row unlike the others
    assert len({tuple(row) for row in expected.round()}) == 21
    starts = [0, 3, 17, 20]
    stacks = numbered["diff"].read("v", starts, 5)
    assert stacks.shape == (4, 15, 51, 70)
    for start, stack in zip(starts, stacks, strict=True):
        for step, levels in enumerate(stack.view(5, 3, 51, 70)):
            signed = levels_to_difference(levels.numpy())
            for channel in signed:
                assert np.abs(block_means(channel) - expected[min(start + step, 20)]).max() < 25


def test_flow_is_aligned_with_frames_and_has_its_sign(tmp_path: Path) -> None:
    """A texture moves by known steps: field t is the step from frame t to t + 1, x to the right, y downwards."""
    steps = [(2, 0), (-1, 1), (0, -2), (3, 1), (0, 0), (-2, -2), (1, 3), (0, 1), (-3, 0), (2, 2)]
    places = [(0, 0), *np.cumsum(steps, axis=0).tolist()]
    video = write_video(tmp_path / "v.mkv", shifted_frames(places, 96, 128))
    rgb = rgb_shard(tmp_path, {"v": video}, 96)
    flow.make_flow_shard(rgb, "flow", FlowModality(), tmp_path / "flow.h5", 2)
    stacks = ModalityStore([tmp_path / "flow.h5"]).read("v", [0, 4, 8], 3)  # x1 y1 x2 y2 x3 y3
    for start, stack in zip([0, 4, 8], stacks, strict=True):
        for step in range(3):
            x, y = levels_to_flow(stack[2 * step : 2 * step + 2].numpy(), BOUND_PX)[:, 16:-16, 16:-16]
            expected = steps[min(start + step, 9)]
            assert (np.median(x), np.median(y)) == pytest.approx(expected, abs=0.2)


def test_still_video_is_exactly_zero(tmp_path: Path) -> None:
    frame = np.repeat(texture(52, 67).astype(np.uint8)[..., None], 3, -1)
    rgb = shard_of_images(tmp_path / "rgb.h5", np.stack([frame] * 4))
    flow.make_flow_shard(rgb, "flow", FlowModality(quality=30), tmp_path / "flow.h5", 1)
    diff.make_diff_shard(rgb, "diff", DiffModality(quality=30), tmp_path / "diff.h5", 1)
    for name, channels in (("flow", 6), ("diff", 9)):
        levels = ModalityStore([tmp_path / f"{name}.h5"]).read("v", [0], 3)
        assert levels.shape == (1, channels, 52, 67)
        assert (levels == 128).all()
    assert (levels_to_flow(levels.numpy(), BOUND_PX) == 0).all()


def test_flow_beyond_the_bound_is_clipped(tmp_path: Path) -> None:
    rgb = shard_of_images(tmp_path / "rgb.h5", shifted_frames([(0, 0), (3, -3)], 64, 64), quality=100)
    flow.make_flow_shard(rgb, "flow", FlowModality(bound_px=1.5, quality=100), tmp_path / "flow.h5", 1)
    store = ModalityStore([tmp_path / "flow.h5"])
    x, y = levels_to_flow(store.read("v", [0], 1)[0].numpy(), store.info.bound_px)[:, 16:-16, 16:-16]
    assert (np.median(x), np.median(y)) == pytest.approx((1.5, -1.5), abs=0.03)


def test_differences_of_stored_frames_within_their_error(tmp_path: Path) -> None:
    """At quality 100 the error is that of the levels (1) and of JPEG's rounding; at 90 it is small on average."""
    frames = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3)).repeat(16, 1).repeat(16, 2).astype(np.uint8)
    rgb = shard_of_images(tmp_path / "rgb.h5", frames)
    decoded = ModalityStore([rgb]).read("v", [0, 1, 2, 3], 1).short()
    for quality, mean, most in ((100, 0.7, 6), (90, 2.0, 40)):
        diff.make_diff_shard(rgb, "diff", DiffModality(quality=quality), tmp_path / "diff.h5", 1)
        levels = ModalityStore([tmp_path / "diff.h5"]).read("v", [0, 1, 2], 1).numpy()
        error = np.abs(levels_to_difference(levels) - (decoded[1:] - decoded[:-1]).numpy())
        assert error.mean() < mean
        assert error.max() <= most


def test_blocks_and_threads_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = shard_of_images(tmp_path / "rgb.h5", shifted_frames([(n % 3, n % 2) for n in range(8)], 32, 40))
    contents = set()
    for threads, block in ((1, 100), (2, 3), (3, 1)):
        monkeypatch.setattr(flow, "_CPU_BLOCK_PAIRS", block)
        monkeypatch.setattr(diff, "_BLOCK_PAIRS", block)
        flow.make_flow_shard(rgb, "flow", FlowModality(), tmp_path / "flow.h5", threads)
        diff.make_diff_shard(rgb, "diff", DiffModality(), tmp_path / "diff.h5", threads)
        contents.add((tmp_path / "flow.h5").read_bytes() + (tmp_path / "diff.h5").read_bytes())
    assert len(contents) == 1


def test_failing_videos_are_quarantined_and_the_others_kept(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", numbered_frames(4, 64, 64))
    write_video(tmp_path / "one.mp4", numbered_frames(1, 64, 64))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    write_video(tmp_path / "two.mp4", numbered_frames(2, 64, 64))
    names = ["cut", "empty", "good", "missing", "one", "two"]
    rgb = rgb_shard(tmp_path, {name: tmp_path / f"{name}.mp4" for name in names}, 32)
    flow.make_flow_shard(rgb, "flow", FlowModality(), tmp_path / "flow.h5", 2)
    for path in (rgb, tmp_path / "flow.h5"):
        store = ModalityStore([path])
        assert list(store.videos) == ["good", "two"]
        assert list(store.quarantined) == ["cut", "empty", "missing", "one"]
        assert store.quarantined["empty"] == "empty file"
        assert store.quarantined["one"] == "too short: 1 frames, at least 2 are needed"
    assert ModalityStore([tmp_path / "flow.h5"]).videos["two"].count == 1
    assert sorted(path.name for path in tmp_path.glob("*.h5*")) == ["flow.h5", "rgb.h5"]


def test_all_videos_quarantined(tmp_path: Path) -> None:
    rgb = rgb_shard(tmp_path, {"v": tmp_path / "missing.mp4"}, 32)
    diff.make_diff_shard(rgb, "diff", DiffModality(), tmp_path / "diff.h5", 2)
    assert dict(ModalityStore([tmp_path / "diff.h5"]).quarantined) == {"v": "no such file"}


def test_flow_of_flow_is_refused(tmp_path: Path) -> None:
    rgb = shard_of_images(tmp_path / "rgb.h5", numbered_frames(2, 32, 32))
    diff.make_diff_shard(rgb, "diff", DiffModality(), tmp_path / "diff.h5", 1)
    with pytest.raises(InputError, match=r"diff\.h5: expected a shard of kind rgb, got diff"):
        flow.make_flow_shard(tmp_path / "diff.h5", "flow", FlowModality(), tmp_path / "flow.h5", 1)


def test_failure_of_the_engine_leaves_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = shard_of_images(tmp_path / "rgb.h5", numbered_frames(30, 32, 32))
    monkeypatch.setattr(
        flow,
        "optical_flow",
        lambda clips, engine: [torch.full((len(clip) - 1, 2, 32, 32), torch.nan) for clip in clips],
    )
    with pytest.raises(ValueError, match="finite"):
        flow.make_flow_shard(rgb, "flow", FlowModality(), tmp_path / "flow.h5", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["rgb.h5"]
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_in_order_keeps_the_order_and_bounds_what_waits() -> None:
    running: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.01 * (number % 3))
        return number

    def items():  # noqa: ANN202
        for number in range(20):
            running.append(number)
            yield number

    for received, number in enumerate(in_order(work, items(), 2)):
        assert number == received
        assert len(running) <= received + 4
    assert received == 19


@pytest.mark.parametrize("name", ["carphone_pristine.mp4", "bikes.mp4"])
def test_real_clips(real_data: Path, tmp_path: Path, name: str) -> None:
    rgb = rgb_shard(tmp_path, {"v": real_data / "clips" / name}, 64)
    diff.make_diff_shard(rgb, "diff", DiffModality(), tmp_path / "diff.h5", 2)
    with ShardReader(rgb) as frames, ShardReader(tmp_path / "diff.h5") as differences:
        entry, other = frames.videos["v"], differences.videos["v"]
        assert other.count == entry.count - 1
        last = entry.count - 2
        expected = frames.read(entry, [last + 1], 1).astype(np.int16) - frames.read(entry, [last], 1)
        error = levels_to_difference(differences.read(other, [last], 1)) - expected
        assert np.abs(error).mean() < 3
