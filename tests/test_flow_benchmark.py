"""The benchmark of flow: clips, counting, the table, a small run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.flow import entrants, speed
from benchmarks.flow import table as flow_table
from benchmarks.flow.bounds import SLOTS_PROCESSOR, Bounds, bytes_per_px_iteration, measure_bounds
from benchmarks.flow.clips import clip_of, joined, resized, synthetic_clips
from benchmarks.flow.entrants import Entrant, Memory
from benchmarks.flow.roofline import draw, newest, roof
from benchmarks.flow.timing import Timing, summed, time_in_turns
from mml_core.flow import Tvl1, choose_engine, optical_flow

CPU = torch.device("cpu")


def nothing(frames: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor | None:
    return None


OURS = Entrant("torch", "opencv", 2, 0, nothing)
PEER = Entrant("opencv", "opencv", 2, 0, nothing)


def test_made_clips_are_always_the_same_and_move_as_said() -> None:
    clips = {clip.name: clip for clip in synthetic_clips(96, 128, 2)}
    again = {clip.name: clip for clip in synthetic_clips(96, 128, 2)}
    assert all(torch.equal(clips[name].frames, again[name].frames) for name in clips)
    engine = choose_engine(Tvl1(scales=3), "torch", device=CPU)
    corner = {name: optical_flow([clip.frames], engine)[0][0, :, 8:40, 8:30].flatten(1) for name, clip in clips.items()}
    assert corner["still"].median(1).values.tolist() == pytest.approx([0, 0], abs=0.1)
    assert corner["pan"].median(1).values.tolist() == pytest.approx([2.3, -0.7], abs=0.2)


def test_sizes_and_joining() -> None:
    first = clip_of("a", torch.zeros(4, 20, 30, dtype=torch.uint8))
    second = resized(clip_of("b", torch.full((3, 40, 40), 200, dtype=torch.uint8)), 20, 30, 2)
    assert second.frames.shape == (2, 20, 30) and (second.frames == 200).all() and second.pairs.tolist() == [[0, 1]]
    both = joined("all", [first, second])
    assert both.frames.shape == (6, 20, 30)
    assert both.pairs.tolist() == [[0, 1], [1, 2], [2, 3], [4, 5]]


def test_engines_take_turns_and_opencv_iterates_as_often_as_torch() -> None:
    turns = []

    def entrant(name: str, iterations: torch.Tensor | None) -> Entrant:
        def run(frames: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor | None:
            turns.append(name)
            return iterations

        return Entrant(name, "opencv", 1, 0, run)

    counts = torch.zeros(1, 3, 5, dtype=torch.int32)
    counts[0, 0, 0], counts[0, 1, 4] = 3, 2  # of 40 x 30 and of 32 x 24 pixels
    clip = clip_of("a", torch.zeros(2, 30, 40, dtype=torch.uint8))
    timings = time_in_turns([entrant("opencv", None), entrant("torch", counts), entrant("dis", None)], [clip], CPU, 2)
    assert turns == ["opencv", "torch", "dis"] * 2
    assert [timing.px_iterations for timing in timings] == [3 * 1200 + 2 * 768, 3 * 1200 + 2 * 768, 0]


def test_ratios_and_shares_by_hand() -> None:
    """torch at 456 bytes and 59 slots a pixel-iteration, 2 million of which take 4 seconds."""
    timings = [Timing(PEER, "a", 4, 8.0, 0), Timing(PEER, "b", 4, 2.0, 0)]
    timings += [Timing(OURS, "a", 4, 3.0, 1_500_000), Timing(OURS, "b", 4, 1.0, 500_000)]
    bounds = Bounds(bytes_per_s=456e6, slots_per_s=59e6, slots=SLOTS_PROCESSOR)
    about = ("2026-01-01", "CPU", "machine", "versions")
    memory = {"torch": Memory(700, 0)}
    peer, ours = flow_table.rows(summed(timings), about, "64x48", bounds, memory, "opencv")
    assert (ours.clip, ours.pairs, ours.pairs_per_s, ours.pairs_per_s_per_core) == ("all", 8, 2.0, 1.0)
    assert (peer.ratio, ours.ratio, ours.px_iterations_per_pair) == (1.0, 2.5, 250_000)
    assert (ours.mpx_iterations_per_s, ours.memory_share, ours.issue_share) == (0.5, 0.5, 0.5)
    assert (peer.mpx_iterations_per_s, peer.host_peak_mb, ours.host_peak_mb, ours.gpu_peak_mb) == ("", "", 700, "")
    shown = flow_table.markdown([peer, ours]).splitlines()
    assert "of the memory bound" in shown[0] and "GPU MB" not in shown[0]
    assert "| 2.5 | 0.5 | 50.0% | 50.0% | 700 |" in shown[3]


def test_rows_are_appended_and_the_newest_is_drawn(tmp_path: Path) -> None:
    bounds = Bounds(1e10, 0.0, SLOTS_PROCESSOR)
    for seconds in (4.0, 2.0):
        timings = summed([Timing(OURS, "a", 4, seconds, 10_000_000)])
        about = ("2026-01-01", "CPU", "machine", "versions")
        flow_table.append(list(flow_table.rows(timings, about, "64x48", bounds, {}, "opencv")), tmp_path / "a.csv")
    table = flow_table.read(tmp_path / "a.csv")
    assert [row["pairs_per_s"] for row in table] == ["1.0", "2.0"]
    assert [row["pairs_per_s"] for row in newest(table)] == ["2.0"]
    draw(table, tmp_path / "images" / "a.svg")
    picture = (tmp_path / "images" / "a.svg").read_text()
    assert "CPU, measured (machine)" in picture and "H200, modelled from published figures: not yet measured" in picture


def test_the_roof_has_a_slope_and_a_ceiling() -> None:
    """45 slots for 55 operations: at 90 slots a second 110 operations."""
    assert roof(0.5, 100, 90, 45) == 50
    assert roof(50, 100, 90, 45) == pytest.approx(110)


def test_a_gpu_gets_batches_and_its_own_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    options = speed._arguments(["--device", "cuda", "--batches", "64", "256"])
    *on_gpu, beside = speed._groups(options)
    assert [(group.batch, group.apart, group.peer) for group in on_gpu] == [(64, True, "torch"), (256, False, "torch")]
    assert on_gpu[0].engines == ["torch", "triton"] and beside.engines == ["opencv"] and beside.threads == 1

    monkeypatch.setattr(entrants, "make_engine", lambda *_: choose_engine(Tvl1(scales=2, warps=1), "torch"))
    clip = synthetic_clips(32, 40, 4)[1]
    whole = entrants.make_entrant("torch", "opencv", torch.device("cuda"), 0, 64).run(clip.frames, clip.pairs)
    parts = entrants.make_entrant("torch", "opencv", torch.device("cuda"), 0, 2).run(clip.frames, clip.pairs)
    assert whole is not None and whole.shape == (3, 2, 1) and torch.equal(whole, parts)


def test_bounds_of_this_machine_are_plausible() -> None:
    bounds = measure_bounds(CPU, 64, 64, 1)
    assert 1e8 < bounds.bytes_per_s < 1e13 and 1e8 < bounds.slots_per_s < 1e13
    assert bytes_per_px_iteration("opencv") == 160 and bytes_per_px_iteration("numba") <= 64


def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = synthetic_clips(48, 64, 2)[1].frames.numpy()
    np.save(tmp_path / "pan.npy", frames)
    words = ["--sizes", "40x32", "--pairs", "1", "--repetitions", "1", "--device", "cpu", "--threads", "1"]
    words += ["--engines", "opencv", "torch", "farneback", "--frames", tmp_path / "pan.npy"]
    words += ["--output", tmp_path / "a.csv", "--picture", tmp_path / "a.svg", "--markdown", tmp_path / "a.md"]
    speed.main([str(word) for word in words])
    table = flow_table.read(tmp_path / "a.csv")
    assert [(row["engine"], row["clip"]) for row in table] == [
        (engine, clip) for clip in ("pan", "all") for engine in ("opencv", "torch", "farneback")
    ]
    assert (tmp_path / "a.svg").exists() and "times the peer" in (tmp_path / "a.md").read_text()
    assert "pairs/s" in capsys.readouterr().out


def test_it_runs_where_hardly_anything_is_installed(tmp_path: Path) -> None:
    missing = ["cv2", "h5py", "av", "pandas", "numba", "llvmlite", "matplotlib", "torchvision", "ffmpeg"]
    words = ["--sizes", "24x20", "--pairs", "1", "--repetitions", "1", "--device", "cpu", "--threads", "1"]
    words += ["--output", str(tmp_path / "a.csv")]
    code = f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
    code += f"from benchmarks.flow import speed; speed.main({words!r})"
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, capture_output=True, text=True)
    assert {row["engine"] for row in flow_table.read(tmp_path / "a.csv")} == {"torch"}
