"""Folders of frames as videos, and frames at another rate: the right ones, and as many as there should be."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_files import ffmpeg, numbered_frames, read_number, write_video

from mml_core.config.dataset import DatasetConfig, Limits, RgbModality
from mml_core.errors import InputError
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ShardReader
from mml_core.video.decode import DecodedVideo
from mml_core.video.sources import Source, VideoError

RATE = 12.0


def write_frames(folder: Path, count: int, height: int = 64, width: int = 96) -> Path:
    """Write `count` numbered frames as 00001.jpg, 00002.jpg, …"""
    folder.mkdir(parents=True)
    video = write_video(folder.parent / "source.mkv", numbered_frames(count, height, width), codec="ffv1")
    pattern = str(folder).replace("%", "%%") + "/%05d.jpg"
    ffmpeg("-i", str(video), "-c:v", "mjpeg", "-q:v", "2", "-f", "image2", f"file:{pattern}")
    return folder


def decode(path: Path, rate: float | None = None, **limits: float) -> tuple[list[int], float]:
    """The numbers of the decoded frames of a folder, and the rate."""
    video = DecodedVideo(path, 64, Limits(**limits), frames_per_sec=rate, folder_frames_per_sec=RATE)
    return [read_number(frame) for frame in video], video.frame_rate


def reason(path: Path, rate: float | None = None, **limits: float) -> str:
    with pytest.raises(VideoError) as caught:
        decode(path, rate, **limits)
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


def resampled(count: int, rate: float, new_rate: float) -> list[int]:
    """Which frames of `count` at `rate` are shown at `new_rate`: each begins at the nearest of the new moments."""
    starts = [math.floor(new_rate * number / rate + 0.5) for number in range(count + 1)]
    return [max(n for n in range(count) if starts[n] <= moment) for moment in range(starts[-1])]


@pytest.mark.parametrize("name", ["100218", "a %d%05d%% b", "-x", "[*?]{1,2}", "concat:a|b", "größe 视频", "a'b\"c"])
def test_every_frame_once_whatever_the_folder_is_called(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_frames(tmp_path / "frames" / name, 9)
    (path / "Thumbs.db").write_bytes(b"x")
    (path / "000001.jpg").write_bytes(b"x")
    assert decode(path) == (list(range(9)), RATE)
    monkeypatch.chdir(path.parent)
    assert decode(Path(name))[0] == list(range(9))


def test_pixels_are_those_of_the_frames(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", 2)
    frames = list(DecodedVideo(tmp_path / "a", 64, Limits(), folder_frames_per_sec=RATE))
    assert all(frame.shape == (64, 96, 3) for frame in frames)
    for frame, written in zip(frames, numbered_frames(2, 64, 96), strict=True):
        assert np.abs(frame.astype(int) - written).mean() < 3, "full range, not squeezed"


@pytest.mark.parametrize("rate", [6.0, 12.0, 24.0, 25.0, 29.97])
def test_folders_at_another_rate(tmp_path: Path, rate: float) -> None:
    path = write_frames(tmp_path / "a", 9)
    assert decode(path, rate) == (resampled(9, RATE, rate), rate)


@pytest.mark.parametrize("rate", ["10", "15", "24", "25", "30", "30000/1001", "50"])
def test_files_at_25_frames_a_second(tmp_path: Path, rate: str) -> None:
    count = 22
    path = write_video(tmp_path / "a.mp4", numbered_frames(count, 64, 64), "-bf", "2", rate=rate)
    video = DecodedVideo(path, 64, Limits(), frames_per_sec=25)
    numbers = [read_number(frame) for frame in video]
    upper, _, lower = rate.partition("/")
    assert numbers == resampled(count, float(upper) / float(lower or 1), 25)
    assert video.frame_rate == 25
    assert video.stated.frame_rate == pytest.approx(float(upper) / float(lower or 1), abs=0.01)


def test_variable_rates_become_constant(tmp_path: Path) -> None:
    timing = "setpts=if(lt(N\\,10)\\,N\\,10+(N-10)*5)/(25*TB)"
    path = write_video(tmp_path / "a.mp4", numbered_frames(14, 64, 64), "-vf", timing, "-fps_mode", "vfr")
    numbers = [read_number(frame) for frame in DecodedVideo(path, 64, Limits(), frames_per_sec=25)]
    assert numbers[:25] == [*range(10), *[10] * 5, *[11] * 5, *[12] * 5]
    assert set(numbers[25:]) == {13}


def test_limits_hold_for_the_frames_that_are_kept(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a", 9)
    assert len(decode(path, 25, max_frames=19)[0]) == 19
    assert reason(path, 25, max_frames=18) == "too long: more than 18 frames"
    assert reason(path, max_frames=8) == "too long: more than 8 frames"
    assert reason(path, 6, min_frames=6) == "too short: 5 frames, at least 6 are needed"
    assert reason(write_frames(tmp_path / "one", 1)) == "too short: 1 frames, at least 2 are needed"


def test_a_gap_in_time_does_not_fill_the_disk(tmp_path: Path) -> None:
    """Time stamps that say the second frame comes after an hour: 90,000 frames at 25 a second."""
    timing = "setpts=N*3600/TB"
    path = write_video(tmp_path / "a.mkv", numbered_frames(2, 64, 64), "-vf", timing, "-fps_mode", "vfr")
    with pytest.raises(VideoError, match="too long: more than 100 frames"):
        list(DecodedVideo(path, 64, Limits(max_frames=100), frames_per_sec=25))


def test_gaps_links_and_empty_frames_are_told(tmp_path: Path) -> None:
    whole = write_frames(tmp_path / "whole", 5)

    def changed(name: str) -> Path:
        return Path(shutil.copytree(whole, tmp_path / name))

    (changed("gap") / "00003.jpg").unlink()
    assert reason(tmp_path / "gap") == "frame 00003.jpg is missing, and there are later ones"
    (changed("first") / "00001.jpg").unlink()
    assert reason(tmp_path / "first") == "frame 00001.jpg is missing, and there are later ones"
    (changed("from zero") / "00005.jpg").rename(tmp_path / "from zero/00000.jpg")
    assert reason(tmp_path / "from zero") == "frame 00005.jpg is missing, and there are later ones"
    (changed("empty") / "00004.jpg").write_bytes(b"")
    assert reason(tmp_path / "empty") == "frame 00004.jpg is empty"
    (changed("link") / "00002.jpg").unlink()
    (tmp_path / "link/00002.jpg").symlink_to(whole / "00002.jpg")
    assert reason(tmp_path / "link") == "frame 00002.jpg is no regular file"
    (changed("folder") / "00002.jpg").unlink()
    (tmp_path / "folder/00002.jpg").mkdir()
    assert reason(tmp_path / "folder") == "frame 00002.jpg is no regular file"
    (tmp_path / "none").mkdir()
    assert reason(tmp_path / "none").startswith("no frames")
    assert reason(tmp_path / "missing") == "no such folder of frames"
    assert reason(tmp_path / "source.mkv") == "not a folder of frames"


def test_damaged_frames_are_told(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a", 5)
    good = (path / "00003.jpg").read_bytes()
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=96x64", "-frames:v", "1", "-f", "image2", str(tmp_path / "a.png"))
    for content in (
        good[: len(good) // 2],
        np.random.default_rng(0).bytes(3000),
        (tmp_path / "a.png").read_bytes(),
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/source.mkv\n".encode(),
    ):
        (path / "00003.jpg").write_bytes(content)
        for rate in (None, 25.0):
            assert reason(path, rate).startswith(("decoding failed after", "cannot be opened as a video"))
    (path / "00003.jpg").write_bytes(good)
    (path / "00001.jpg").write_bytes(b"hello")
    assert reason(path).startswith(("decoding failed", "cannot be opened as a video"))
    assert decode(write_frames(tmp_path / "b/c", 5))[0] == list(range(5))


def test_change_of_size_is_told(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a", 3)
    shutil.copy(write_frames(tmp_path / "other/b", 3, 64, 128) / "00003.jpg", path)
    assert "the shape of the picture changes" in reason(path)


def test_frames_that_may_not_be_read_are_no_bad_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_frames(tmp_path / "a", 3)
    monkeypatch.setattr("mml_core.video.sources.os.access", lambda *_: False)
    with pytest.raises(InputError, match=r"00001\.jpg: Permission denied"):
        decode(path)


@given(count=st.integers(1, 500), rate=st.floats(1, 120), new_rate=st.floats(1, 120))
def test_the_number_of_frames_at_another_rate(count: int, rate: float, new_rate: float) -> None:
    source = Source("file:x", {}, count, rate)
    assert source.expected(None) == count
    assert abs(source.expected(new_rate) - math.floor(count * new_rate / rate + 0.5)) < 1
    assert Source("file:x", {}).expected(new_rate) is None


def test_lost_frames_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ffmpeg may end a sequence early without a word."""
    path = write_frames(tmp_path / "a", 6)
    monkeypatch.setattr(
        "mml_core.video.decode.frame_folder",
        lambda *_: Source(
            f"file:{path}/%05d.jpg", {"format_whitelist": "image2", "format": "image2", "framerate": RATE}, 8, RATE
        ),
    )
    assert reason(path) == "6 frames were decoded, and 8 are there"
    assert reason(path, 25) == "13 frames were decoded, and 16.67 are there"


def test_shards_of_folders_keep_the_new_rate(tmp_path: Path) -> None:
    videos = {"1": write_frames(tmp_path / "videos/1", 6), "2": tmp_path / "videos/2"}
    for rate in (None, 25.0):
        settings = RgbModality(short_side_px=32, frames_per_sec=rate)
        make_rgb_shard(videos, "rgb", settings, Limits(), tmp_path / "a.h5", 1, folder_frames_per_sec=RATE)
        with ShardReader(tmp_path / "a.h5") as reader:
            assert reader.quarantined == {"2": "no such folder of frames"}
            entry = reader.videos["1"]
            assert (entry.count, entry.frame_rate) == ((6, 12.0) if rate is None else (13, 25.0))
            assert reader.info.settings == settings.model_dump(mode="json")


def dataset(annotations: dict[str, object], **modalities: dict[str, object]) -> DatasetConfig:
    return DatasetConfig.model_validate({"name": "a", "annotations": annotations, "modalities": modalities})


def test_keys_of_shards() -> None:
    """A rate that is not set names nothing anew; that of folders of frames is part of what shards hold."""
    rgb, flow = {"kind": "rgb", "short_side_px": 100}, {"kind": "flow"}
    manifest = {"format": "manifest", "manifest": "a.csv", "videos": "a"}
    lists = {"labels": "l", "train": "t", "validation": "v"}
    folders = {"format": "something-something-v1", "videos": "a", **lists}
    plain = dataset(manifest, rgb=rgb, flow=flow)
    assert "frames_per_sec" not in plain.modalities["rgb"].model_dump()
    assert plain.modality_key("rgb") == dataset(manifest, rgb=rgb | {"frames_per_sec": None}).modality_key("rgb")
    others = [
        dataset(manifest, rgb=rgb | {"frames_per_sec": 25}, flow=flow),
        dataset(manifest, rgb=rgb | {"frames_per_sec": 24}, flow=flow),
        dataset(folders, rgb=rgb, flow=flow),
        dataset(folders | {"frames_per_sec": 10}, rgb=rgb, flow=flow),
    ]
    for name in ("rgb", "flow"):
        assert len({data.modality_key(name) for data in [plain, *others]}) == 5


def test_motion_vectors_need_a_files_own_frames() -> None:
    vectors = {"kind": "flow", "algorithm": {"method": "motion_vectors"}}
    manifest = {"format": "manifest", "manifest": "a.csv", "videos": "a"}
    lists = {"labels": "l", "train": "t", "validation": "v"}
    folders = {"format": "something-something-v1", "videos": "a", **lists}
    dataset(manifest, rgb={"kind": "rgb"}, mv=vectors)
    with pytest.raises(ValueError, match=r"modalities\.mv: motion vectors are those of a video file's own frames"):
        dataset(manifest, rgb={"kind": "rgb", "frames_per_sec": 25}, mv=vectors)
    with pytest.raises(ValueError, match=r"modalities\.mv: motion vectors"):
        dataset(folders, rgb={"kind": "rgb"}, mv=vectors)
