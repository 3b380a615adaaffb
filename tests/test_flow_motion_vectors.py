"""Motion vectors of codecs: their size, sign, place and frame, and what is told where there are none."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from av.sidedata.sidedata import Type
from video_files import ffmpeg, set_rotation_flag, shifted_frames, texture, write_video

from mml_core.config.dataset import FlowModality, Limits, RgbModality
from mml_core.config.flow import MotionVectors
from mml_core.errors import InputError
from mml_core.flow.codec import export_vectors
from mml_core.flow.codec.motion_vectors import Coded, motion_vectors, stored_field
from mml_core.modalities.motion_vectors import make_motion_vector_shard
from mml_core.modalities.quantise import levels_to_flow
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ModalityStore
from mml_core.video.sources import CONTAINERS, VideoError

SETTINGS = FlowModality(bound_px=16.0, quality=100, algorithm=MotionVectors(method="motion_vectors"))
X264 = ("-preset", "medium", "-crf", "18", "-g", "250")
STEADY = [(3 * t, -2 * t) for t in range(16)]


def fields(path: Path, height: int, width: int, **limits: float) -> np.ndarray:
    return np.stack(list(motion_vectors(path, height, width, Limits(**limits))))


def medians(path: Path, height: int = 144, width: int = 192) -> np.ndarray:
    """Median x and y of each field (T - 1, 2), without its border."""
    return np.median(fields(path, height, width)[:, :, 16:-16, 16:-16], axis=(2, 3))


@pytest.mark.parametrize(
    ("name", "codec", "options", "without"),
    [
        ("a.avi", "mpeg4", ("-q:v", "3", "-g", "250"), 0),
        # FFmpeg's decoders of the MPEG family hand out nothing with the last frame of a video with B frames
        ("a.avi", "mpeg4", ("-q:v", "3", "-g", "250", "-bf", "2"), 3),
        ("a.mp4", "mpeg4", ("-q:v", "3", "-g", "250", "-bf", "2"), 3),
        ("a.mpg", "mpeg2video", ("-q:v", "3", "-g", "250", "-bf", "2"), 3),
        ("a.mp4", "libx264", (*X264, "-bf", "0"), 0),
        ("a.mkv", "libx264", (*X264, "-bf", "2", "-x264-params", "b-pyramid=none:b-adapt=0"), 0),
        ("a.mp4", "libx264", (*X264, "-bf", "3", "-x264-params", "b-adapt=0"), 0),  # a hierarchy of B frames
        ("a.mp4", "libx264", X264, 0),
    ],
)
def test_steady_motion_is_found_in_every_pair(
    tmp_path: Path, name: str, codec: str, options: tuple[str, ...], without: int
) -> None:
    frames = shifted_frames(STEADY, 144, 192, margin=60)
    found = medians(write_video(tmp_path / name, frames, *options, codec=codec))
    assert found.shape == (15, 2)
    assert (found[: 15 - without] == [3, -2]).all()
    assert (found[15 - without :] == 0).all()


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264")])
def test_each_field_is_the_step_between_its_frames(tmp_path: Path, name: str, codec: str) -> None:
    steps = [(2, 0), (-1, 1), (0, -2), (3, 1), (0, 0), (-2, -2), (1, 3), (0, 1), (-3, 0), (2, 2)]
    frames = shifted_frames([(0, 0), *map(tuple, np.cumsum(steps, axis=0).tolist())], 96, 128)
    options = ("-q:v", "2") if codec == "mpeg4" else (*X264, "-bf", "0", "-refs", "1")
    assert medians(write_video(tmp_path / name, frames, *options, codec=codec), 96, 128).tolist() == [*map(list, steps)]


def test_an_intra_frame_gives_no_motion(tmp_path: Path) -> None:
    frames = shifted_frames(STEADY, 96, 128, margin=60)
    video = write_video(tmp_path / "a.avi", frames, "-q:v", "3", "-g", "4", "-sc_threshold", "0", codec="mpeg4")
    moving = (medians(video, 96, 128) == [3, -2]).all(1)
    assert [t + 1 for t in np.flatnonzero(~moving)] == [4, 8, 12]  # the frames that the pairs end at
    assert (fields(video, 96, 128)[3] == 0).all()


def test_still_video_is_exactly_zero(tmp_path: Path) -> None:
    frame = np.repeat(texture(64, 96).astype(np.uint8)[..., None], 3, -1)
    assert (fields(write_video(tmp_path / "a.mp4", np.stack([frame] * 5)), 64, 96) == 0).all()


def test_values_and_places_are_scaled_with_the_frames(tmp_path: Path) -> None:
    """The left half moves; stored frames of half the height and three quarters of the width."""
    frames = shifted_frames([(4 * t, 4 * t) for t in range(6)], 128, 256, margin=40)
    frames[:, :, 128:] = frames[:1, :, 128:]
    video = write_video(tmp_path / "a.mp4", frames, *X264, "-bf", "0", "-refs", "1")
    x, y = fields(video, 64, 192)[2]
    assert (np.median(x[8:-8, 8:88]), np.median(y[8:-8, 8:88])) == (3, 2)
    assert (np.median(x[8:-8, 104:-8]), np.median(y[8:-8, 104:-8])) == (0, 0)


def test_rotation_flag_is_applied_as_to_the_frames(tmp_path: Path) -> None:
    steps = [(2 * t, t) for t in range(6)]
    frames = shifted_frames(steps, 96, 128)
    frames[:, :48] = frames[:1, :48]  # the upper half stands still
    options = (*X264, "-bf", "0", "-refs", "1")
    upright = write_video(tmp_path / "a.mp4", frames, *options)
    turned = write_video(tmp_path / "b.mp4", np.rot90(frames, 1, axes=(1, 2)), *options)
    expected, found = fields(upright, 96, 128)[2], fields(set_rotation_flag(turned), 96, 128)[2]
    for field in (expected, found):
        assert [np.median(plane[56:-8, 8:-8]) for plane in field] == [2, 1]
        assert [np.median(plane[8:40, 8:-8]) for plane in field] == [0, 0]


@pytest.mark.parametrize(
    ("upright", "expected_x", "expected_y"),
    [
        ((1, 0, 0, 1), [[1, 2], [3, 4]], [[5, 6], [7, 8]]),
        ((-1, 0, 0, -1), [[-4, -3], [-2, -1]], [[-8, -7], [-6, -5]]),  # half a turn
        ((-1, 0, 0, 1), [[-2, -1], [-4, -3]], [[6, 5], [8, 7]]),  # mirrored
        ((0, 1, -1, 0), [[-7, -5], [-8, -6]], [[3, 1], [4, 2]]),  # a quarter, clockwise
        ((0, -1, 1, 0), [[6, 8], [5, 7]], [[-2, -4], [-1, -3]]),  # counter-clockwise
        ((0, 1, 1, 0), [[5, 7], [6, 8]], [[1, 3], [2, 4]]),  # transposed
    ],
)
def test_turns_by_hand(upright: tuple[float, ...], expected_x: list, expected_y: list) -> None:
    cells = np.arange(1, 9, dtype=np.float32).reshape(2, 2, 2)
    field = stored_field(cells, Coded(8, 8, upright), 8, 8)
    assert field[0, ::4, ::4].tolist() == expected_x
    assert field[1, ::4, ::4].tolist() == expected_y


def test_other_angles_are_refused() -> None:
    with pytest.raises(VideoError, match="angle"):
        stored_field(np.zeros((2, 2, 2), np.float32), Coded(8, 8, (0.7, 0.7, -0.7, 0.7)), 8, 8)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.webm", "libvpx-vp9", ("-deadline", "realtime")), ("a.avi", "mjpeg", ()), ("a.mp4", "libx264", ("-g", "1"))],
)
def test_videos_without_vectors_are_told(tmp_path: Path, name: str, codec: str, options: tuple[str, ...]) -> None:
    video = write_video(tmp_path / name, shifted_frames(STEADY[:5], 64, 64), *options, codec=codec)
    with pytest.raises(VideoError, match="no motion vectors: its codec hands out no"):
        fields(video, 64, 64)


@pytest.mark.parametrize("end", [2, 3, 5, 6, 15, 16, 40])
def test_the_first_fields_are_those_of_the_whole_video(tmp_path: Path, end: int) -> None:
    """Wherever among B frames, which wait for the frame that they are predicted from, the part ends."""
    options = (*X264, "-bf", "3", "-x264-params", "b-adapt=0")
    video = write_video(tmp_path / "a.mp4", shifted_frames(STEADY, 96, 128, margin=60), *options)
    part = np.stack(list(motion_vectors(video, 96, 128, Limits(), end=end)))
    np.testing.assert_array_equal(part, fields(video, 96, 128)[: end - 1])


def test_files_that_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello\n" * 100)
    (tmp_path / "list.mkv").write_text("ffconcat version 1.0\nfile a.ts\n")
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", str(tmp_path / "sound.m4a"))
    for name, reason in (("missing", "no such file"), ("empty", "empty file"), ("text", "no motion vectors: ")):
        with pytest.raises(VideoError, match=reason):
            fields(tmp_path / f"{name}.mp4", 64, 64)
    for name in ("list.mkv", "sound.m4a"):
        with pytest.raises(VideoError, match=r"no motion vectors: .+"):
            fields(tmp_path / name, 64, 64)


def test_a_cut_video_is_told(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", shifted_frames(STEADY, 96, 128, margin=60), "-movflags", "+faststart")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with pytest.raises(VideoError):
        fields(video, 96, 128)


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put another program in the place of the one that decodes."""
    path = tmp_path / "stand_in.py"
    path.write_text(text)
    monkeypatch.setattr(export_vectors, "__file__", str(path))


def test_a_crash_of_the_decoder_is_a_fault_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_text("x")
    program(tmp_path, monkeypatch, f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})")
    with pytest.raises(VideoError, match=r"crashed \(status -11\)"):
        fields(tmp_path / "a.mp4", 64, 64)


def test_a_killed_decoder_is_no_fault_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_text("x")
    program(tmp_path, monkeypatch, f"import os; os.kill(os.getpid(), {int(signal.SIGTERM)})")
    with pytest.raises(InputError, match="decoder was killed"):
        fields(tmp_path / "a.mp4", 64, 64)


def test_a_decoder_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_text("x")
    program(tmp_path, monkeypatch, "import threading; threading.Event().wait()")
    with pytest.raises(VideoError, match=r"timed out: no motion vectors within 0\.5 s"):
        fields(tmp_path / "a.mp4", 64, 64, decode_timeout_sec=0.5)


def test_stopping_early_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "a.mp4", shifted_frames(STEADY, 96, 128, margin=60))
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    stream = motion_vectors(video, 96, 128, Limits())
    next(stream)
    stream.close()
    with pytest.raises(ProcessLookupError):
        os.kill(started[0].pid, 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's end")
def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The child waits for a video that never comes; its parent gets no chance to end it."""
    os.mkfifo(tmp_path / "endless.mp4")
    parent_text = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(sys.argv[1:], process_group=0)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    words = [
        sys.executable,
        "-P",
        export_vectors.__file__,
        tmp_path / "endless.mp4",
        CONTAINERS,
        "1000000",
        "inf",
        "600",
    ]
    with subprocess.Popen([sys.executable, "-c", parent_text, *words], stdout=subprocess.PIPE) as parent:
        child = Path("/proc") / str(int(parent.stdout.readline()))
        # opening for writing succeeds once the child reads: it has set itself up by then
        with (tmp_path / "endless.mp4").open("wb"):
            parent.kill()
            parent.wait()
            # the pipe's end comes when the child is gone: it holds it too
            assert select.select([parent.stdout], [], [], 30)[0] and parent.stdout.read() == b""
    # a moment passes between its letting go of the pipe and its end
    subprocess.run(["tail", f"--pid={child.name}", "-f", "/dev/null"], timeout=30, check=True)


def test_its_computing_time_is_limited() -> None:
    """By the kernel, that is, also where nobody is left to end it."""
    text = "from mml_core.flow.codec.export_vectors import limit_time; limit_time(0.5)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", text], timeout=60, check=False)
    assert ended.returncode == -signal.SIGXCPU


def test_of_blocks_that_overlap_the_smaller_counts() -> None:
    kind = [(name, np.int32) for name in ("source", "w", "h", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")]
    small, large = (-1, 8, 8, 4, 4, -4, 0, 4), (-1, 16, 16, 8, 8, -8, 0, 4)
    for vectors in ([small, large], [large, small]):
        data = SimpleNamespace(to_ndarray=lambda vectors=vectors: np.array(vectors, kind))
        frame = SimpleNamespace(side_data={Type.MOTION_VECTORS: data}, height=16, width=16)
        assert export_vectors.cells_of(frame)[0].tolist() == [[1, 1, 2, 2]] * 2 + [[2] * 4] * 2


def shards(folder: Path, videos: dict[str, Path], short_side_px: int = 64) -> tuple[Path, Path]:
    rgb, vectors = folder / "rgb.h5", folder / "flow_mv.h5"
    make_rgb_shard(videos, "rgb", RgbModality(short_side_px=short_side_px), Limits(), rgb, 2)
    make_motion_vector_shard(rgb, videos, "flow_mv", SETTINGS, Limits(), vectors, 2)
    return rgb, vectors


def test_the_shard_belongs_to_the_decoded_frames(tmp_path: Path) -> None:
    frames = shifted_frames(STEADY[:8], 96, 128, margin=60)
    timing = "setpts=if(lt(N\\,4)\\,N\\,4+(N-4)*5)/(25*TB)"
    videos = {
        "plain": write_video(tmp_path / "a.avi", frames, "-q:v", "3", codec="mpeg4"),
        "variable": write_video(tmp_path / "b.mp4", frames, "-vf", timing, "-fps_mode", "vfr", "-bf", "0"),
        "vp9": write_video(tmp_path / "c.webm", frames, "-deadline", "realtime", codec="libvpx-vp9"),
        "missing": tmp_path / "missing.mp4",
    }
    rgb, vectors = (ModalityStore([path]) for path in shards(tmp_path, videos, 48))
    assert list(vectors.videos) == ["plain", "variable"]
    assert vectors.quarantined["missing"] == rgb.quarantined["missing"] == "no such file"
    assert vectors.quarantined["vp9"].startswith("no motion vectors: its codec")
    assert {"av", "libavcodec"} <= set(vectors.info.software)
    for name, entry in vectors.videos.items():
        assert (entry.count, entry.height, entry.width) == (7, 48, 64)
        levels = vectors.read(name, [0, 6], 1).numpy()
        for field in levels_to_flow(levels, SETTINGS.bound_px)[:, :, 8:-8, 8:-8]:
            assert np.median(field, axis=(1, 2)) == pytest.approx((1.5, -1), abs=0.1)


def test_another_number_of_frames_is_quarantined(tmp_path: Path) -> None:
    frames = shifted_frames(STEADY[:8], 64, 64, margin=60)
    names = {name: tmp_path / f"{name}.mp4" for name in ("more", "fewer", "same")}
    for path in names.values():
        write_video(path, frames[:6])
    rgb = shards(tmp_path, names)[0]
    write_video(names["more"], frames)
    write_video(names["fewer"], frames[:4])
    make_motion_vector_shard(rgb, names, "flow_mv", SETTINGS, Limits(), tmp_path / "again.h5", 2)
    store = ModalityStore([tmp_path / "again.h5"])
    assert list(store.videos) == ["same"]
    assert "more than its 6 decoded frames" in store.quarantined["more"]
    assert "for 4 frames, and 6 were decoded" in store.quarantined["fewer"]
    with pytest.raises(InputError, match="other videos"):
        make_motion_vector_shard(rgb, {"same": names["same"]}, "flow_mv", SETTINGS, Limits(), tmp_path / "x.h5", 1)


@pytest.mark.parametrize("name", ["demo.mp4", "carphone_pristine.mp4", "bikes.mp4", "S001C001P001R001A001_rgb.avi"])
def test_real_clips_have_as_many_vectors_as_frames(real_data: Path, tmp_path: Path, name: str) -> None:
    store = ModalityStore([shards(tmp_path, {"v": real_data / "clips" / name})[1]])
    assert list(store.videos) == ["v"], store.quarantined
