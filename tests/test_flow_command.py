"""The command mml flow: every kind of output, streaming, and what it says when something is wrong."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import torch
from video_files import ffmpeg, shifted_frames, write_video

import mml_core.flow_command.command as command
import mml_core.flow_command.computation as computation
from mml_core.commands.program import call
from mml_core.errors import InputError
from mml_core.flow.files import read_flo
from mml_core.flow_command.command import overlapping_blocks
from mml_core.flow_command.computation import Computation
from mml_core.flow_command.options import FlowOptions
from mml_core.flow_command.outputs import open_output
from mml_core.video.decode import Stated

#: The scene moves by 3 pixels to the right a frame.
SHIFTS = [(3 * t, 0) for t in range(5)]
CHEAP = ["--device", "cpu", "--threads", "1", "--engine", "torch", "--warps", "2", "--scales", "3"]


def clip(path: Path, height: int = 48, width: int = 64, rate: str = "30000/1001") -> Path:
    return write_video(path, shifted_frames(SHIFTS, height, width), rate=rate)


def run(*words: object) -> None:
    call(["flow", *(str(word) for word in words)])


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_every_output_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [tmp_path / name for name in ("a.mp4", "a.mkv", "a.h5", "fields")]
    words = [word for path in outputs for word in ("--out", path)]
    run(clip(tmp_path / "in.mp4"), *words, "--short-side-px", 48, *CHEAP)

    with h5py.File(tmp_path / "a.h5") as file:
        flow, about = file["flow"][:], dict(file["flow"].attrs)
    assert flow.shape == (4, 2, 48, 64) and flow.dtype == np.float32
    assert np.median(flow[:, 0]) == pytest.approx(3, abs=0.1) and np.median(flow[:, 1]) == pytest.approx(0, abs=0.1)
    assert about["engine"] == "torch" and about["video"] == "in.mp4" and '"warps":2' in about["algorithm"]
    assert about["frame_rate"] == pytest.approx(29.97, abs=0.01)
    for number in range(4):
        np.testing.assert_array_equal(read_flo(tmp_path / "fields" / f"{number:06d}.flo"), flow[number])
    for name in ("a.mp4", "a.mkv"):
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].average_rate == pytest.approx(Fraction(30000, 1001), rel=1e-3)
        assert pictures(tmp_path / name).shape == (4, 48, 128, 3)

    said = capsys.readouterr().out
    assert said.startswith("flow: TV-L1 by engine torch (1 threads)\n"), "before the work"
    assert "4 pairs of 64 x 48 by tvl1, variant opencv, engine torch on cpu" in said and "pairs/s" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "a.mkv", "a.mp4", "fields", "in.mp4"]


def test_colours_of_a_known_motion(tmp_path: Path) -> None:
    """To the right is red; half of the scale is half saturated: 255 * (1 - 3 / 6).

    The wheel is not closed there: just above it starts with 43 of blue, of which half counts.
    """
    video = clip(tmp_path / "in.mp4")
    run(video, "--out", tmp_path / "a.mp4", "--short-side-px", 48, "--max-px", 6, *CHEAP)
    shown = pictures(tmp_path / "a.mp4")
    red, green, blue = np.median(shown[:, 8:-8, 72:-8], axis=(0, 1, 2))
    assert (red, green) == pytest.approx((255, 128), abs=8) and 120 <= blue <= 128 + 43 // 2 + 8
    frames = shifted_frames(SHIFTS, 48, 64)[:-1]
    assert np.abs(shown[:, :, :64].astype(int) - frames).mean() < 6, "the frames are on the left"


def test_odd_sizes(tmp_path: Path) -> None:
    video = clip(tmp_path / "in.mp4", 33, 45)
    run(video, "--out", tmp_path / "a.mp4", "--out", tmp_path / "a.h5", "--short-side-px", 33, *CHEAP)
    assert pictures(tmp_path / "a.mp4").shape == (4, 34, 90, 3)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["flow"].shape == (4, 2, 33, 45)


@pytest.mark.parametrize(
    ("size", "words", "shape", "scale"),
    [
        ((48, 64), [], (48, 64), 1),
        ((300, 400), [], (256, 341), 256 / 300),
        ((48, 64), ["--short-side-px", 96], (96, 128), 2),
    ],
)
def test_frames_are_not_enlarged_unasked(
    tmp_path: Path, size: tuple[int, int], words: list, shape: tuple[int, int], scale: float
) -> None:
    video = clip(tmp_path / "in.mp4", *size)
    run(video, "--out", tmp_path / "a.H5", *words, "--frames", 2, "--algorithm", "dis", "--threads", 1)
    with h5py.File(tmp_path / "a.H5") as file:
        about = file["flow"].attrs
        assert file["flow"].shape == (1, 2, *shape)
        assert (about["video_height"], about["video_width"], about["scale"]) == (*size, pytest.approx(scale))


def test_endings_in_capitals_and_colons_in_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip(tmp_path / "in.mp4").rename(tmp_path / "in:0.MP4")
    monkeypatch.chdir(tmp_path)
    run("in:0.MP4", "--out", "http:a.MP4", "--out", "b.MKV", "--frames", 3, "--algorithm", "dis", "--threads", 1)
    assert pictures(Path("file:http:a.MP4")).shape == pictures(Path("b.MKV")).shape == (2, 48, 128, 3)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(29.97, Fraction(30000, 1001)), (23.98, Fraction(24000, 1001)), (25, 25), (12.5, Fraction(25, 2)), (math.nan, 25)],
)
def test_rates_of_ntsc_are_exact(rate: float, expected: Fraction) -> None:
    assert command._frame_rate(Stated(rate)) == expected


@pytest.mark.parametrize(
    ("words", "device"),
    [
        ([], "auto"),
        (["--engine", "torch"], "auto"),
        (["--engine", "numba"], "cpu"),
        (["--engine", "opencv", "--device", "cuda"], "cpu"),
        (["--algorithm", "dis"], "cpu"),
        (["--algorithm", "motion_vectors"], "cpu"),
    ],
)
def test_a_gpu_is_leased_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch, words: list, device: str) -> None:
    def lease(threads: int, device: str) -> None:
        raise KeyError(device)

    monkeypatch.setattr(command, "prepare_compute", lease)
    with pytest.raises(KeyError, match=device):
        run("in.mp4", "--out", "a.h5", *words)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), InputError, "no memory for the flow of one pair"),
        (
            RuntimeError("CUDA error: launch failure\nmore"),
            InputError,
            "the GPU failed .*launch failure\n.*--device cpu",
        ),
        (ValueError("a pair takes more"), InputError, "a pair takes more\n.*--memory-gb"),
        (RuntimeError("a fault of ours"), RuntimeError, "a fault of ours"),
    ],
)
def test_faults_amid_the_work_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], told: str
) -> None:
    calls = iter(range(3))
    compute = computation.optical_flow

    def fail(*words: object, **named: object) -> list[torch.Tensor]:
        if next(calls) == 2:
            raise error
        return compute(*words, **named)

    monkeypatch.setattr(computation, "optical_flow", fail)
    monkeypatch.setattr(command, "_BLOCK_PAIRS", 1)
    with pytest.raises(kind, match=told):
        run(clip(tmp_path / "in.mp4"), "--out", tmp_path / "a.h5", *CHEAP)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_share_the_pairs_of_opencv(threads: int) -> None:
    """Two pairs meet in two threads: without them, the first would wait in vain."""
    meeting = threading.Barrier(threads, timeout=30)

    class Engine:
        name, device = "opencv", torch.device("cpu")

        def __call__(self, frames: torch.Tensor, pairs: torch.Tensor, initial: object = None) -> torch.Tensor:
            if frames.any():
                meeting.wait()
            return frames[pairs[:, 1]].float()[:, None].expand(-1, 2, -1, -1)

        def working_bytes(self, height: int, width: int, pairs: int, frames: int) -> int:
            return 1

    made = computation.by_engine(Engine(), 16, 16, None, threads)
    block = np.arange(1, 8, dtype=np.uint8)[:, None, None, None].repeat(16, 1).repeat(16, 2).repeat(3, 3)
    done: list[int] = []
    flow = made.flow_of(block, done.append)
    assert flow[:, 0, 0, 0].tolist() == [2, 3, 4, 5, 6, 7] and sum(done) == 6
    assert set(made.versions) == {"torch", "opencv"}


#: Runs the command with an engine that fails in the midst of the second block; the video goes on for long after it.
FAULTY = """
import os, signal, sys
import mml_core.commands.program as program
import mml_core.flow_command.command as command
import mml_core.flow_command.computation as computation
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it for what runs in the background
calls, compute = iter(range(100)), computation.optical_flow
def fail(*words, **named):
    if next(calls) == 3:
        print(*open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split(), flush=True)
        FAULT
    return compute(*words, **named)
computation.optical_flow = fail
command._BLOCK_PAIRS = 1
if "motion_vectors" in sys.argv:
    by_codec = command.by_codec
    def faulty(fields):
        made = by_codec(fields)
        return made._replace(flow_of=lambda *words: (fail([]), made.flow_of(*words))[1])
    computation.optical_flow = compute = lambda *words: None
    command.by_codec = faulty
program.main(["flow", *sys.argv[1:]])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the children of a process")
@pytest.mark.parametrize("algorithm", ["dis", "motion_vectors"])
@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("raise KeyError('a fault of ours')", "KeyError: 'a fault of ours'"),
        ("os.kill(os.getpid(), signal.SIGINT)", "interrupted"),
    ],
)
def test_faults_and_interruptions_end_it_with_its_children(
    tmp_path: Path, algorithm: str, fault: str, shown: str
) -> None:
    (tmp_path / "program.py").write_text(FAULTY.replace("FAULT", fault))
    write_video(tmp_path / "in.mp4", np.tile(shifted_frames(SHIFTS, 240, 320), (20, 1, 1, 1)))
    words = ["in.mp4", "--out", "a.h5", "--algorithm", algorithm, "--threads", "1"]
    command_line = [sys.executable, "program.py", *words]
    ended = subprocess.run(command_line, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode != 0 and shown in ended.stderr
    children = [int(word) for line in ended.stdout.splitlines() if line[:1].isdigit() for word in line.split()]
    assert len(children) == (2 if algorithm == "motion_vectors" else 1)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "program.py"}


@pytest.mark.parametrize("algorithm", ["dis", "farneback"])
def test_other_algorithms(tmp_path: Path, algorithm: str) -> None:
    words = ["--short-side-px", 48, "--algorithm", algorithm, "--device", "cpu", "--threads", 1]
    run(clip(tmp_path / "in.mp4"), "--out", tmp_path / "a.h5", *words)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["flow"].attrs["engine"] == "opencv"
        assert np.median(file["flow"][:, 0]) == pytest.approx(3, abs=0.3)


def test_motion_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reference, no B frames: exact but for blocks at the border. A part's fields are those of its frames."""
    frames = shifted_frames([(0, 0), (2, 0), (6, 0), (12, 0), (20, 0)], 64, 96)  # x moves by 2, 4, 6, 8
    video = write_video(tmp_path / "in.mp4", frames, "-bf", "0", "-refs", "1", "-g", "100")
    words = ["--short-side-px", 64, "--algorithm", "motion_vectors", "--device", "cpu"]
    monkeypatch.setattr(command, "_BLOCK_PAIRS", 2)
    run(video, "--out", tmp_path / "a.h5", "--start", 1, *words)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["flow"].attrs["engine"] == "codec"
        assert np.median(file["flow"][:, 0], axis=(1, 2)).tolist() == pytest.approx([4, 6, 8], abs=0.3)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("in.webm", "libvpx-vp9", ["-deadline", "realtime"]),
        ("in.mp4", "libx265", ["-x265-params", "log-level=none"]),
        ("in.avi", "mjpeg", []),
        ("in.mkv", "libx264", ["-g", "1"]),
    ],
)
@pytest.mark.parametrize("part", [[], ["--frames", 3], ["--start", 2, "--frames", 3]])
def test_videos_without_motion_vectors_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, options: list[str], part: list
) -> None:
    """Fields of zeros were written, and all seemed well. Blocks end with the frames, or do not."""
    video = write_video(tmp_path / name, shifted_frames(SHIFTS, 64, 96), *options, codec=codec)
    for pairs in (2, 64):
        monkeypatch.setattr(command, "_BLOCK_PAIRS", pairs)
        with pytest.raises(InputError, match="no motion vectors: its codec hands out no"):
            run(video, "--out", tmp_path / "a.h5", "--algorithm", "motion_vectors", *part)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("words", [[], ["--frames", 20]])
def test_flow_of_a_damaged_video_is_refused(tmp_path: Path, words: list) -> None:
    """Also where the frames that are asked for seem to be there: the decoder is asked whether they are whole."""
    video = write_video(tmp_path / "in.mp4", np.tile(shifted_frames(SHIFTS, 64, 96), (6, 1, 1, 1)), "-bf", "0")
    content = bytearray(video.read_bytes())
    place = content.index(b"mdat") + 6000
    content[place : place + 300] = bytes(300)
    video.write_bytes(content)
    with pytest.raises(InputError, match="decoding failed"):
        run(video, "--out", tmp_path / "a.h5", "--algorithm", "dis", "--threads", 1, *words)
    assert not (tmp_path / "a.h5").exists()


def test_part_of_a_video_is_the_part_of_its_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the blocks: here of two pairs."""
    video = clip(tmp_path / "in.mp4")
    run(video, "--out", tmp_path / "all.h5", "--short-side-px", 32, *CHEAP)
    monkeypatch.setattr(command, "_BLOCK_PAIRS", 2)
    run(video, "--out", tmp_path / "blocks.h5", "--short-side-px", 32, *CHEAP)
    run(video, "--out", tmp_path / "part.h5", "--short-side-px", 32, "--start", 1, "--frames", 3, *CHEAP)
    with h5py.File(tmp_path / "all.h5") as whole, h5py.File(tmp_path / "blocks.h5") as blocks:
        np.testing.assert_array_equal(whole["flow"][:], blocks["flow"][:])
        with h5py.File(tmp_path / "part.h5") as part:
            np.testing.assert_array_equal(whole["flow"][1:3], part["flow"][:])
            assert part["flow"].attrs["first_frame"] == 1


@pytest.mark.parametrize(("frames", "most", "sizes"), [(5, 2, [3, 3]), (6, 2, [3, 3, 2]), (2, 9, [2]), (1, 2, [])])
def test_blocks_share_a_frame(frames: int, most: int, sizes: list[int]) -> None:
    numbered = [np.full((2, 2, 3), number, np.uint8) for number in range(frames)]
    blocks = list(overlapping_blocks(numbered, most))
    assert [len(block) for block in blocks] == sizes
    pairs = [(int(a[0, 0, 0]), int(b[0, 0, 0])) for block in blocks for a, b in itertools.pairwise(block)]
    assert pairs == [(t, t + 1) for t in range(frames - 1)]


def test_large_frames_make_small_blocks() -> None:
    large = (np.zeros((4320, 7680, 3), np.uint8) for _ in range(2))
    assert [len(block) for block in overlapping_blocks(large)] == [2]


def _damage_the_end(video: Path) -> None:
    """Overwrite most of the last of the pictures, which stand for themselves."""
    content = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        last = max(packet.pos for packet in container.demux(video=0) if packet.size)
    content[last + 8 : last + 400] = bytes(392)
    video.write_bytes(content)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["missing.mp4", "--out", "a.mp4"], r"missing\.mp4: no such file"),
        (["audio.mp4", "--out", "a.mp4"], "no video stream"),
        (["one.mp4", "--out", "a.mp4"], "too short: 1 frames"),
        (["corrupt.mp4", "--out", "a.mp4", "--out", "a.h5", "--out", "a"], "decoding failed after [34] frames"),
        (["text.mp4", "--out", "a.mp4"], "text.mp4: "),
        (["in.mp4", "--out", "a.avi"], "unknown ending '.avi'"),
        (["in.mp4", "--out", "a.flo"], "name a folder"),
        (["in.mp4", "--out", "a.FLO"], "name a folder"),
        (["in.mp4", "--out", "."], r"\.: names no file or folder of its own"),
        (["in.mp4", "--out", ".."], "names no file or folder of its own"),
        (["in.mp4", "--out", "folder.h5"], "there is a folder of that name"),
        (["in.mp4", "--out", "text.mp4/a.mp4"], "a.mp4: cannot be written"),
        (["in.mp4", "--out", "text.mp4/a.h5"], "a.h5: cannot be written"),
        (["in.mp4", "--out", "text.mp4/a"], "text.mp4/a: cannot be written"),
        (["in.mp4", "--out", "in.mp4"], "in.mp4: is named twice"),
        (["in.mp4", "--out", "a.h5", "--out", "./a.h5"], "is named twice"),
        (["in.mp4", "--out", "a.h5", "--start", "4"], "no two frames from frame 4 on"),
        (["in.mp4", "--out", "a.h5", "--memory-gb", "0.00001"], "--memory-gb"),
        (["in.mp4", "--out", "a.h5", "--attachment", "-1"], "attachment: Input should be greater than 0"),
        (["in.mp4", "--out", "a.h5", "--algorithm", "dis", "--warps", "2"], "warps: unknown key"),
        (["in.mp4", "--out", "a.h5", "--variant", "opencv-cuda", "--median-px", "5"], "no median filter"),
        (["in.mp4", "--out", "a.h5", "--engine", "triton"], "triton needs a GPU"),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str) -> None:
    clip(tmp_path / "in.mp4")
    write_video(tmp_path / "one.mp4", shifted_frames(SHIFTS[:1], 48, 64))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", str(tmp_path / "audio.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "folder.h5").mkdir()
    _damage_the_end(write_video(tmp_path / "corrupt.mp4", shifted_frames(SHIFTS, 48, 64), "-g", "1"))
    before = set(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_BLOCK_PAIRS", 1)
    cheap = [] if "triton" in words or "dis" in words else ["--engine", "torch"]
    with pytest.raises(InputError, match=reason):
        run(*words, "--device", "cpu", "--short-side-px", 32, "--threads", 1, *cheap)
    assert set(tmp_path.iterdir()) == before, "something was left behind"


def test_a_failure_names_the_output_that_failed(tmp_path: Path) -> None:
    frames, flow = np.zeros((1, 16, 16, 3), np.uint8), torch.zeros(1, 2, 16, 16)
    outputs = [open_output(tmp_path / name, {}, Fraction(25), None) for name in ("fields", "a.h5")]
    with pytest.raises(InputError, match="fields: cannot be written"), outputs[0] as fields, outputs[1] as hdf5:
        hdf5(frames, flow)
        next(tmp_path.glob("fields.tmp.*")).rmdir()
        fields(frames, flow)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["in.mp4"], ["in.mp4", "--out", "a.h5", "--frames", "1"], ["in.mp4", "--out", "a.h5", "--max-px", "0"]]
)
def test_misuse_is_told_by_the_parser(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*words)
    assert end.value.code == 2 and "Hint: `mml flow --help`" in capsys.readouterr().err


def test_help_names_every_parameter_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    run("--help")
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--attachment FLOAT tvl1: weight of the data term (lambda): smaller is smoother [0.15]" in said
    assert "[choices: ultrafast, fast, medium]" in said and "80 % of what is free" in said


def test_threads_are_the_cores_also_where_the_system_has_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    asked: list[FlowOptions] = []
    monkeypatch.setattr(command, "flow_of_video", asked.append)
    run("in.mp4", "--out", "a.h5")
    assert asked[0].threads == 7


def test_the_command_ends_with_a_message_not_a_traceback(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "mml_core.commands.program",
        "flow",
        "missing.mp4",
        "--out",
        "a.h5",
        "--device",
        "cpu",
    ]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: missing.mp4: no such file") and "Traceback" not in ended.stderr


def test_the_first_block_sets_the_scale_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours of later blocks must not be scaled anew: fields of the second are twice as long, and saturate."""
    lengths = iter([2.0, 4.0])
    monkeypatch.setattr(command, "_BLOCK_PAIRS", 2)
    made = Computation(
        lambda *_: torch.tensor([next(lengths), 0.0]).reshape(1, 2, 1, 1).expand(2, 2, 48, 64), "none", "cpu", {}
    )
    monkeypatch.setattr(command, "_computation", lambda *_: made)
    run(clip(tmp_path / "in.mp4"), "--out", tmp_path / "a.mp4", "--short-side-px", 48, *CHEAP)
    colours = pictures(tmp_path / "a.mp4")[:, :, 66:].mean((1, 2))
    assert colours == pytest.approx(np.tile([255, 0, 0], (4, 1)), abs=8)
