"""A picture that changes its shape on the way is never stretched; one that changes its size only is decoded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_files import ffmpeg, joined, numbered_frames, read_number, write_video

from mml_core.commands.program import call
from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.video.decode import DecodedVideo
from mml_core.video.shapes import Shape, same_shape
from mml_core.video.sources import VideoError

VP8 = ("libvpx", ["-b:v", "500k", "-deadline", "realtime"])
VP9 = ("libvpx-vp9", ["-b:v", "500k", "-deadline", "realtime", "-cpu-used", "8"])
H264 = ("libx264", ["-x264-params", "repeat-headers=1"])
H264_DELAYED = ("libx264", ["-preset", "medium", "-x264-params", "repeat-headers=1:bframes=3:b-adapt=0"])
HEVC = ("libx265", ["-preset", "ultrafast", "-x265-params", "log-level=none:repeat-headers=1"])
MPEG2 = ("mpeg2video", ["-q:v", "3"])
#: Codecs in containers, and what of them ffmpeg can join without encoding anew.
KINDS = [
    ("webm", *VP8),
    ("webm", *VP9),
    ("mkv", *VP9),
    ("mkv", *H264),
    ("mp4", *H264),
    ("ts", *H264),
    ("flv", *H264),
    ("ts", *HEVC),
    ("ts", *MPEG2),
    ("mpg", *MPEG2),
    ("mkv", *H264_DELAYED),
    ("ts", *H264_DELAYED),
    ("mkv", "libaom-av1", ["-cpu-used", "8"]),
    ("flv", "flv", ["-q:v", "3"]),
    ("avi", "mjpeg", ["-q:v", "3"]),
    ("mov", "mjpeg", ["-q:v", "3"]),
]
#: Those of them whose decoder hands out all frames when their size changes.
WHOLE_KINDS = [kind for kind in KINDS if kind[1] != "mpeg2video"]


def join(folder: Path, ending: str, codec: str, options: list[str], *sizes: tuple[int, int]) -> Path:
    """Five frames of each of the sizes (height, width)."""
    parts = [
        write_video(folder / f"{number}.{ending}", numbered_frames(5, *size), *options, codec=codec)
        for number, size in enumerate(sizes)
    ]
    return joined(folder / f"joined.{ending}", parts)


def reason(path: Path) -> str:
    with pytest.raises(VideoError) as caught:
        list(DecodedVideo(path, 64, Limits()))
    return str(caught.value)


@pytest.mark.parametrize(("ending", "codec", "options"), KINDS)
def test_a_turned_picture_is_quarantined(tmp_path: Path, ending: str, codec: str, options: list[str]) -> None:
    """It was squeezed into the shape of the first frame, or refused since ffmpeg said something else."""
    assert reason(join(tmp_path, ending, codec, options, (96, 128), (128, 96))) == "the shape of the picture changes"


@pytest.mark.parametrize(("ending", "codec", "options"), WHOLE_KINDS)
@pytest.mark.parametrize("second", [(72, 96), (192, 256)])
def test_another_size_of_the_same_shape_is_decoded(
    tmp_path: Path, ending: str, codec: str, options: list[str], second: tuple[int, int]
) -> None:
    path = join(tmp_path, ending, codec, options, (96, 128), second)
    frames = list(DecodedVideo(path, 64, Limits()))
    assert [read_number(frame) for frame in frames] == [0, 1, 2, 3, 4] * 2
    assert {frame.shape for frame in frames} == {(64, 85, 3)}


@pytest.mark.parametrize(
    ("ending", "codec", "options"), [("mpg", *MPEG2), ("ts", *MPEG2), ("avi", "mpeg4", ["-q:v", "3", "-bf", "2"])]
)
def test_a_decoder_that_loses_a_frame_at_another_size(
    tmp_path: Path, ending: str, codec: str, options: list[str]
) -> None:
    path = join(tmp_path, ending, codec, options, (96, 128), (72, 96))
    assert reason(path) == "the size of the picture changes, at which its decoder loses a frame"


@pytest.mark.parametrize("options", [[], ["-pix_fmt", "yuvj444p"]])
def test_a_change_loses_no_frame_at_another_rate(tmp_path: Path, options: list[str]) -> None:
    """ffmpeg's filter forgets the frame that it has not yet written, where the size or the kind of pixels changes."""
    parts = [
        write_video(tmp_path / f"{number}.avi", numbered_frames(13, *size), *more, codec="mjpeg")
        for number, (size, more) in enumerate((((96, 128), []), ((96, 128) if options else (72, 96), options)))
    ]
    changes, same = joined(tmp_path / "changes.avi", parts), joined(tmp_path / "same.avi", parts[:1] * 2)
    assert [read_number(frame) for frame in DecodedVideo(changes, 64, Limits())] == [*range(13), *range(13)]
    with pytest.raises(VideoError, match="size or kind of its pixels changes"):
        list(DecodedVideo(changes, 64, Limits(), frames_per_sec=12.5))
    numbers = [read_number(frame) for frame in DecodedVideo(same, 64, Limits(), frames_per_sec=12.5)]
    assert numbers == [*range(0, 13, 2), *range(1, 13, 2)]


def test_a_rounded_size_is_decoded(tmp_path: Path) -> None:
    """As of an encoder that halves the size while the line is bad: 270 becomes 136."""
    path = join(tmp_path, "webm", *VP8, (270, 480), (136, 240))
    frames = list(DecodedVideo(path, 128, Limits()))
    assert [read_number(frame) for frame in frames] == [0, 1, 2, 3, 4] * 2
    assert {frame.shape for frame in frames} == {(128, 228, 3)}


@pytest.mark.parametrize(
    ("ending", "codec", "options"),
    [
        ("mpg", *MPEG2),
        ("ts", *MPEG2),
        ("mkv", *MPEG2),
        ("mpg", "mpeg1video", ["-q:v", "3"]),
        ("ts", *H264),
        ("ts", *HEVC),
    ],
)
def test_pixels_that_change_their_shape_are_quarantined(
    tmp_path: Path, ending: str, codec: str, options: list[str]
) -> None:
    """As television does between 4:3 and 16:9, in frames of one size."""
    parts = [
        write_video(tmp_path / f"{n}.{ending}", numbered_frames(5, 96, 128), *options, "-aspect", aspect, codec=codec)
        for n, aspect in enumerate(("4:3", "16:9"))
    ]
    assert reason(joined(tmp_path / f"joined.{ending}", parts)) == "the shape of the picture changes"
    assert len(list(DecodedVideo(joined(tmp_path / f"same.{ending}", parts[:1] * 2), 64, Limits()))) == 10


def test_a_tape_that_changes_its_shape_is_quarantined(tmp_path: Path) -> None:
    for aspect in ("4:3", "16:9"):
        source = ["-f", "lavfi", "-i", "testsrc2=s=720x576:r=25", "-frames:v", "2", "-pix_fmt", "yuv420p"]
        ffmpeg(*source, "-aspect", aspect, str(tmp_path / f"{aspect[-1]}.dv"))
    narrow, wide = ((tmp_path / f"{name}.dv").read_bytes() for name in (3, 9))
    (tmp_path / "both.dv").write_bytes(narrow + wide)
    (tmp_path / "wide.dv").write_bytes(wide + wide)
    assert reason(tmp_path / "both.dv") == "the shape of the picture changes"
    assert len(list(DecodedVideo(tmp_path / "wide.dv", 64, Limits()))) == 4


@pytest.mark.parametrize(("size", "expected"), [((64, 48), "changes"), ((36, 48), None)])
def test_folders_of_frames(tmp_path: Path, size: tuple[int, int], expected: str | None) -> None:
    for number, (height, width) in enumerate([(48, 64)] * 3 + [size] * 2, 1):
        frame = write_video(tmp_path / "frame.mkv", numbered_frames(number, height, width)[-1:], codec="mjpeg")
        ffmpeg("-i", str(frame), str(tmp_path / f"{number:05d}.jpg"))
    video = DecodedVideo(tmp_path, 32, Limits(), folder_frames_per_sec=12)
    if expected is None:
        assert [read_number(frame) for frame in video] == [0, 1, 2, 3, 4]
    else:
        with pytest.raises(VideoError, match="the shape of the picture changes"):
            list(video)


def test_flow_of_a_picture_that_changes_its_shape_is_refused(tmp_path: Path) -> None:
    path = join(tmp_path, "webm", *VP8, (96, 128), (128, 96))
    words = [str(path), "--out", str(tmp_path / "a.h5"), "--algorithm", "dis", "--threads", "1"]
    for part in ([], ["--frames", "8"], ["--start", "6"]):
        with pytest.raises(InputError, match="the shape of the picture changes"):
            call(["flow", *words, *part])
    assert not (tmp_path / "a.h5").exists()


@given(st.integers(16, 4000), st.integers(16, 4000), st.sampled_from([1.0, 64 / 45, 0.5]), st.floats(0.1, 1))
def test_a_shape_is_that_of_its_smaller_sizes(height: int, width: int, pixel_aspect: float, scale: float) -> None:
    """Whatever the rounding; and neither of a picture that is turned nor of one that is a tenth wider."""
    shape = Shape(width, height, pixel_aspect)
    smaller = Shape(max(8, int(width * scale)), max(8, int(height * scale)), pixel_aspect)
    if min(width, height) * scale >= 8:
        assert same_shape(shape, smaller) and same_shape(smaller, shape)
    wider = Shape(width, height, pixel_aspect * (1 + 4 / min(width, height)))
    assert not same_shape(shape, wider) and not same_shape(wider, shape)
    square = Shape(round(width * pixel_aspect), height)
    assert same_shape(shape, square)
