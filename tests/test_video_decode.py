"""Decoding: every frame once, upright, of the right size; whatever is wrong with a file ends in a true reason."""

from __future__ import annotations

import math
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from video_files import ffmpeg, numbered_frames, read_number, set_rotation_flag, write_video

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.video.decode import DecodedVideo
from mml_core.video.messages import Stated
from mml_core.video.sources import VideoError


def decode(path: Path, short_side_px: int = 64, **limits: float) -> tuple[list[np.ndarray], float]:
    video = DecodedVideo(path, short_side_px, Limits(**limits))
    frames = list(video)
    return frames, video.frame_rate


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", ["-bf", "3", "-g", "7"]),
        ("a.webm", "libvpx-vp9", ["-crf", "10", "-b:v", "0", "-cpu-used", "8", "-deadline", "realtime"]),
        ("a.mkv", "libx264", []),
        ("a.avi", "mpeg4", ["-q:v", "3"]),
        ("a.gif", "gif", []),
    ],
)
def test_every_frame_once_and_in_order(tmp_path: Path, name: str, codec: str, options: list[str]) -> None:
    frames = numbered_frames(23, 96, 128)
    if codec == "gif":
        ffmpeg("-i", str(write_video(tmp_path / "a.mp4", frames)), str(tmp_path / name))
    else:
        write_video(tmp_path / name, frames, *options, codec=codec)
    decoded, rate = decode(tmp_path / name, 48)
    assert [read_number(frame) for frame in decoded] == list(range(23))
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in decoded)
    assert rate == pytest.approx(25, rel=0.02)


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [((90, 120), 45, (45, 60)), ((120, 90), 45, (60, 45)), ((37, 53), 32, (32, 46)), ((64, 64), 64, (64, 64))],
)
def test_shorter_side_is_exact_and_aspect_kept(
    tmp_path: Path, size: tuple[int, int], short: int, expected: tuple[int, int]
) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(2, *size))
    frames, _ = decode(tmp_path / "a.mp4", short)
    assert frames[0].shape == (*expected, 3)


@pytest.mark.parametrize("size", [(90, 120), (37, 53), (64, 64), (16, 256)])
def test_squares_are_squares_whatever_the_aspect(tmp_path: Path, size: tuple[int, int]) -> None:
    """Chi et al. 2019: frames of 256 x 256. The whole picture is there: its left half is still the left half."""
    frames = np.zeros((2, *size, 3), np.uint8)
    frames[:, :, size[1] // 2 :] = 255
    write_video(tmp_path / "a.mp4", frames)
    decoded = list(DecodedVideo(tmp_path / "a.mp4", 48, Limits(), square=True))
    assert [frame.shape for frame in decoded] == [(48, 48, 3)] * 2
    assert decoded[0][:, :20].mean() < 10 and decoded[0][:, 28:].mean() > 245


def test_colours_and_pixels_are_kept(tmp_path: Path) -> None:
    frames = numbered_frames(2, 64, 96)
    frames[:, :, :48, 0] //= 4
    write_video(tmp_path / "a.mkv", frames, "-color_range", "tv")
    decoded, _ = decode(tmp_path / "a.mkv", 64)
    middle = np.s_[4:12, 28:44]
    assert np.abs(decoded[0][middle].astype(int) - frames[0][middle]).mean() < 3


def test_rotation_flag_is_applied(tmp_path: Path) -> None:
    frames = numbered_frames(6, 64, 96)
    path = write_video(tmp_path / "a.mp4", frames)
    upright, _ = decode(path)
    turned, _ = decode(set_rotation_flag(path))
    assert turned[0].shape == (96, 64, 3)
    for before, after in zip(upright, turned, strict=True):
        assert np.abs(np.rot90(before, -1).astype(int) - after).mean() < 2
    assert [read_number(np.rot90(frame)) for frame in turned] == list(range(6))


@pytest.mark.parametrize(
    ("sar", "turn", "expected"), [("2/1", False, (64, 256)), ("1/4", False, (96, 64)), ("2/1", True, (256, 64))]
)
def test_sample_aspect_ratio_is_applied(tmp_path: Path, sar: str, turn: bool, expected: tuple[int, int]) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(2, 64, 128 if sar == "2/1" else 170), "-vf", f"setsar={sar}")
    frames, _ = decode(set_rotation_flag(path) if turn else path)
    height, width = frames[0].shape[:2]
    assert (height, width) == pytest.approx(expected, abs=1)
    assert min(height, width) == 64


def test_variable_frame_rate_neither_drops_nor_repeats(tmp_path: Path) -> None:
    timing = "setpts=if(lt(N\\,10)\\,N\\,10+(N-10)*5)/(25*TB)"
    write_video(tmp_path / "a.mp4", numbered_frames(20, 64, 64), "-vf", timing, "-fps_mode", "vfr")
    frames, rate = decode(tmp_path / "a.mp4")
    assert [read_number(frame) for frame in frames] == list(range(20))
    assert 5 < rate < 25


@pytest.mark.parametrize(
    "name", ["-rf x.mp4", "a 'b\" c%03d.mp4", "zwei\nZeilen.mp4", "größe 视频.mp4", "concat:a|b.mp4", "data:,x.mp4"]
)
def test_odd_file_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "plain.mp4", numbered_frames(3, 64, 64)).rename(tmp_path / name)
    assert len(decode(tmp_path / name)[0]) == 3
    monkeypatch.chdir(tmp_path)
    assert len(decode(Path(name))[0]) == 3


def reason(path: Path, **limits: float) -> str:
    with pytest.raises(VideoError) as caught:
        decode(path, **limits)
    assert str(path.parent) not in str(caught.value)
    assert "@ 0x" not in str(caught.value)
    return str(caught.value)


def test_files_that_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello\n" * 100)
    (tmp_path / "noise.webm").write_bytes(np.random.default_rng(0).bytes(5000))
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1", "-f", "image2", str(tmp_path / "png.png"))
    (tmp_path / "png.png").rename(tmp_path / "image.mp4")
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", str(tmp_path / "sound.m4a"))
    assert reason(tmp_path / "missing.mp4") == "no such file"
    assert reason(tmp_path) == "not a file"
    assert reason(tmp_path / "empty.mp4") == "empty file"
    assert reason(tmp_path / "text.mp4").startswith("cannot be opened as a video")
    assert reason(tmp_path / "noise.webm").startswith("cannot be opened as a video")
    assert reason(tmp_path / "image.mp4") == "not a video in a known container"
    assert reason(tmp_path / "sound.m4a") == "no video stream"


def test_files_that_name_other_files_are_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.ts", numbered_frames(5, 64, 64))
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n"
    for name, text in (("a.m3u8", playlist), ("a.mkv", playlist), ("b.mkv", "ffconcat version 1.0\nfile a.ts\n")):
        (tmp_path / name).write_text(text)
        assert reason(tmp_path / name).startswith(("not a video in a known container", "cannot be opened as a video"))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.mp4", "libx264", ["-movflags", "+faststart"]), ("a.webm", "libvpx", ["-b:v", "300k"]), ("a.avi", "mpeg4", [])],
)
def test_truncated_and_damaged_videos_are_not_shortened(
    tmp_path: Path, name: str, codec: str, options: list[str]
) -> None:
    path = write_video(tmp_path / name, numbered_frames(40, 96, 96), *options, codec=codec)
    whole = path.read_bytes()
    for share in (0.5, 0.8):
        path.write_bytes(whole[: int(share * len(whole)) + 3])
        assert reason(path).startswith("decoding failed after ")
    path.write_bytes(whole[:60])
    assert reason(path).startswith("cannot be opened as a video")
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(damaged)
    assert reason(path).startswith("decoding failed after ")


def test_too_short_and_too_long(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.mp4", numbered_frames(1, 64, 64))
    two = write_video(tmp_path / "two.mp4", numbered_frames(2, 64, 64))
    assert reason(one) == "too short: 1 frames, at least 2 are needed"
    frames, rate = decode(two, max_frames=2)
    assert len(frames) == 2
    assert rate == 25
    three = write_video(tmp_path / "three.mp4", numbered_frames(3, 64, 64))
    assert reason(three, max_frames=2) == "too long: more than 2 frames"


def test_extreme_aspect_ratio_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(2, 16, 256))
    assert reason(path) == "sides differ by more than a factor of 8"


@pytest.mark.parametrize("end", [2, 7, 60, 90])
def test_the_first_frames_are_those_of_the_whole_video(tmp_path: Path, end: int) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(60, 64, 64))
    frames = list(DecodedVideo(path, 64, Limits(), end=end))
    assert [read_number(frame) for frame in frames] == list(range(min(end, 60)))


def test_time_limit(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(60, 128, 128))
    seen = 0
    with pytest.raises(VideoError, match="timed out: not decoded within"):
        for _ in DecodedVideo(tmp_path / "a.mp4", 128, Limits(decode_timeout_sec=0.2)):
            time.sleep(0.05)
            seen += 1
    assert seen < 60, "given up before its end"


def test_stopping_early_leaves_neither_process_nor_thread(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(60, 128, 128))
    before = threading.active_count()
    for _ in DecodedVideo(tmp_path / "a.mp4", 128, Limits()):
        break
    assert threading.active_count() == before


def test_what_the_container_states_is_known_from_the_first_frame_on(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(8, 64, 128), "-vf", "setsar=2/1")
    for name in (path, set_rotation_flag(path)):
        video = DecodedVideo(name, 32, Limits())
        shape = next(iter(video)).shape
        assert video.stated == Stated(25, 0.32, 128, 64, 2.0)
        assert min(shape[:2]) == 32 and max(shape[:2]) == 128, "4:1"
    assert Stated(width=128, height=64, pixel_aspect=2.0).scale_of(32, 128) == 0.5
    assert Stated(width=100, height=50, pixel_aspect=0.25).scale_of(100, 50) == 2, "upright it is 25 x 50"
    assert Stated(width=100, height=50, pixel_aspect=0.25).scale_of(50, 100) == 0.5, "turned it is 200 x 100"
    assert math.isnan(Stated().scale_of(32, 32))


@pytest.mark.parametrize(
    ("size", "least", "expected"),
    [((48, 96), 16, (48, 96)), ((80, 160), 16, (64, 128)), ((24, 48), 32, (32, 64)), ((160, 80), 16, (128, 64))],
)
def test_smaller_videos_keep_their_size(
    tmp_path: Path, size: tuple[int, int], least: int, expected: tuple[int, int]
) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(2, *size))
    frames = list(DecodedVideo(tmp_path / "a.mp4", 64, Limits(), least_px=least))
    assert frames[0].shape == (*expected, 3)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("at_once", [True, False])
def test_killed_ffmpeg_is_no_fault_of_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, at_once: bool
) -> None:
    """SIGTERM used to put a good video into quarantine."""
    write_video(tmp_path / "a.mp4", numbered_frames(60, 128, 128))
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen:
        started.append(popen(*arguments, **options))
        if at_once:
            started[-1].send_signal(number)
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(InputError, match=r"a\.mp4: ffmpeg was killed"):
        for _ in DecodedVideo(tmp_path / "a.mp4", 128, Limits()):
            started[0].send_signal(number)


@pytest.mark.parametrize(
    ("name", "count", "shape", "rate"),
    [
        ("demo.mp4", 280, (256, 427, 3), 28),  # 340x256 with pixels that are not square: 5:3 on display
        ("S001C001P001R001A001_rgb.avi", 103, (256, 455, 3), 30),
        ("carphone_pristine.mp4", 120, (256, 342, 3), 29.97),
    ],
)
def test_real_clips(real_data: Path, name: str, count: int, shape: tuple[int, int, int], rate: float) -> None:
    frames, found = decode(real_data / "clips" / name, 256)
    assert len(frames) == count
    assert {frame.shape for frame in frames} == {shape}
    assert found == rate
