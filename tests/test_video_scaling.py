"""Compiled scaling has the bits of FFmpeg's scaler, is used where it pays, and is given up where it would differ."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mml_core.config.dataset import Limits
from mml_core.video import jpeg_worker, scaling, scaling_code, swscale_taps
from mml_core.video.filtering import FilteredFrames, Refused, Scalers
from mml_core.video.jpegs import JpegVideo
from mml_core.video.pictures import YUV
from mml_core.video.scaling import FrameScaler
from mml_core.video.swscale_taps import ALONG, BETWEEN, taps
from mml_core.video.yuv import AS_THEY_ARE, COLOUR, LUMA, Planes, full_range

#: BT.601 and BT.709, as libavutil numbers them.
BT601, BT709 = 5, 1
NEVER = 1 << 62

needs_code = pytest.mark.skipif(not scaling_code.is_supported(), reason="the processor has no AVX2")
sides = st.integers(32, 300)


def random_frame(height: int, width: int, seed: int = 0, pixel_format: str = "yuv420p") -> VideoFrame:
    """A frame of noise, beyond the limited range too."""
    frame = VideoFrame(width, height, pixel_format)
    rng = np.random.default_rng(seed)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, (plane.height, plane.line_size), np.uint8))
    return frame


def scaling_to(height: int, width: int) -> list[tuple[str, dict[str, str]]]:
    """The filters of shards, but to a size."""
    (name, options), last = YUV.filters(64, 64, square=False, box=None)
    return [(name, {**options, "w": str(width), "h": str(height)}), last]


def options_of(filters: list[tuple[str, dict[str, str]]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in filters[0][1].items() if name not in ("w", "h"))


def pixels(planes: Planes) -> list[NDArray[np.uint8]]:
    half = -(-planes.width // 2)
    return [planes.luma[:, : planes.width].copy(), planes.blue[:, :half].copy(), planes.red[:, :half].copy()]


def assert_same(first: Planes, second: Planes) -> None:
    assert first.size == second.size
    for one, other in zip(pixels(first), pixels(second), strict=True):
        np.testing.assert_array_equal(one, other)


def filtered(frame: VideoFrame, size: tuple[int, int], scalers: Scalers | None = None) -> FilteredFrames:
    return FilteredFrames(frame, "0/1", scaling_to(*size), scalers or Scalers(NEVER))


@needs_code
@settings(deadline=None, max_examples=40)
@given(height=sides, width=sides, tall=sides, wide=sides, seed=st.integers(0, 1 << 30))
def test_bits_are_those_of_libswscale(height: int, width: int, tall: int, wide: int, seed: int) -> None:
    frame = random_frame(height, width, seed)
    try:
        scaler = FrameScaler((height, width), (tall, wide), options_of(scaling_to(tall, wide)), (LUMA, COLOUR))
    except ValueError:  # made much smaller
        assert width / wide > 3
        return
    assert_same(filtered(frame, (tall, wide))(frame), scaler(frame))


@needs_code
@pytest.mark.parametrize(
    "size", [(240, 320), (240, 427), (360, 480), (720, 1280), (1080, 1920), (1080, 607), (256, 341)]
)
def test_bits_at_usual_sizes(size: tuple[int, int]) -> None:
    scale = 256 / min(size)
    scaled = tuple(round(side * scale) for side in size)
    frame = random_frame(*size)
    scaler = FrameScaler(size, scaled, options_of(scaling_to(*scaled)), (LUMA, COLOUR))
    assert_same(filtered(frame, scaled)(frame), scaler(frame))


@needs_code
def test_levels_can_stay_as_they_are() -> None:
    frame = random_frame(48, 64)
    same = FrameScaler((48, 64), (48, 64), options_of(scaling_to(48, 64)), (AS_THEY_ARE, AS_THEY_ARE))(frame)
    for plane, source in zip(pixels(same), frame.planes, strict=True):
        lines = np.frombuffer(source, np.uint8).reshape(source.height, -1)[:, : source.width]
        np.testing.assert_array_equal(plane, lines)


@pytest.mark.parametrize(("length", "side"), [(64, 64), (64, 65), (65, 64), (33, 200), (300, 40), (240, 256)])
@pytest.mark.parametrize("vertical", [False, True])
def test_taps_are_within_their_axis_and_sum_up(length: int, side: int, vertical: bool) -> None:
    luma, colours = taps(length, side, options_of(scaling_to(64, 64)), vertical=vertical)
    for one, pixels_in, pixels_out in ((luma, length, side), (colours, -(-length // 2), -(-side // 2))):
        assert one.length == pixels_in
        assert len(one.first) == len(one.weights) == pixels_out
        assert one.first.min() >= 0
        assert (one.first + one.weights.shape[1]).max() <= pixels_in
        assert set(one.weights.sum(axis=1)) == {BETWEEN if vertical else ALONG}
        assert one.weights.shape[1] % 2 == 0


@pytest.mark.parametrize("answer", [1, -3, ALONG])
def test_what_is_no_sum_of_weights_is_refused(answer: int) -> None:
    """Answers to ten lines, of which each tenth pixel is brighter."""
    answers = np.full((4, 10), answer, np.int64)
    with pytest.raises(ValueError, match="otherwise than by weighing"):
        swscale_taps._taps(answers, 80, 4, 10, vertical=False)


@pytest.mark.parametrize(("size", "scaled"), [((31, 64), (64, 64)), ((64, 64), (64, 20)), ((64, 640), (64, 64))])
def test_what_cannot_be_scaled(size: tuple[int, int], scaled: tuple[int, int]) -> None:
    """Tiny frames, and lines made ten times shorter."""
    options = options_of(scaling_to(*scaled))
    with pytest.raises(ValueError, match=r"tiny|too many|AVX2"):
        FrameScaler(size, scaled, options, (LUMA, COLOUR))
    assert scaling.frame_scaler(size, scaled, options, (LUMA, COLOUR)) is None


def frames_of(count: int, height: int = 64, width: int = 96) -> Iterator[VideoFrame]:
    return (random_frame(height, width, seed) for seed in range(count))


@needs_code
@pytest.mark.parametrize("matrix", [BT601, BT709])
def test_frames_of_a_video_are_the_same(matrix: int) -> None:
    frames = list(frames_of(20))
    for frame in frames:
        frame.colorspace = matrix
    plain, compiled = filtered(frames[0], (80, 121)), filtered(frames[0], (80, 121), Scalers(0))
    for frame in frames:
        assert_same(plain(frame), compiled(frame))
    assert compiled._scaler is not None


@needs_code
def test_it_is_loaded_once_it_pays() -> None:
    scalers = Scalers(64 * 96 * 6)
    first, *others = frames_of(20)
    video = filtered(first, (80, 120), scalers)
    had = []
    for frame in (first, *others):
        video(frame)
        had.append(video._scaler is not None)
    assert had == [number >= 16 for number in range(1, 21)], "frame 1 comes too early, frame 16 is the next to look at"


def test_other_filters_and_formats_are_left_to_libavfilter() -> None:
    frame = random_frame(64, 96)
    turned = FilteredFrames(frame, "0/1", [("transpose", {"dir": "clock"}), *scaling_to(96, 64)], Scalers(0))
    turned(frame)
    other = random_frame(64, 96, pixel_format="yuv444p")
    fuller = filtered(other, (80, 120), Scalers(0))
    fuller(other)
    assert turned._scaler is fuller._scaler is None


def test_processors_without_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "is_supported", lambda: False)
    scaling.frame_scaler.cache_clear()
    frame = random_frame(64, 96)
    video = filtered(frame, (80, 120), Scalers(0))
    assert_same(filtered(frame, (80, 120))(frame), video(frame))
    assert video._scaler is None
    scaling.frame_scaler.cache_clear()


def other_than(
    scale: Callable[[FrameScaler, VideoFrame], Planes],
) -> Callable[[FrameScaler, VideoFrame], Planes]:
    """Return what makes planes of which one pixel is another one."""

    def other(scaler: FrameScaler, frame: VideoFrame) -> Planes:
        planes = scale(scaler, frame)
        planes.red[0, 0] ^= 1
        return planes

    return other


@needs_code
def test_a_scaler_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for colours that lie elsewhere between the pixels than where they were when its weights were asked for."""
    monkeypatch.setattr(FrameScaler, "__call__", other_than(FrameScaler.__call__))
    frame = random_frame(64, 96)
    video = filtered(frame, (80, 120), Scalers(0))
    assert_same(filtered(frame, (80, 120))(frame), video(frame))
    assert video._scaler is None


@needs_code
def test_what_differed_once_is_not_used_after_a_frame_that_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = frames_of(16)
    video = filtered(first, (80, 120), Scalers(0))
    with monkeypatch.context() as patch:
        patch.setattr(FrameScaler, "__call__", other_than(FrameScaler.__call__))
        video(first)
    for frame in others:
        video(frame)
    assert video._scaler is None


@needs_code
def test_a_difference_that_shows_later_gives_the_video_up(monkeypatch: pytest.MonkeyPatch) -> None:
    scalers = Scalers(0)
    first, *others = frames_of(16)
    video = filtered(first, (80, 120), scalers)
    video(first)
    original = FrameScaler.__call__
    monkeypatch.setattr(
        FrameScaler, "__call__", lambda self, frame: original(self, frame)._replace(luma=0 * self._planes[0].result)
    )
    for frame in others[:-1]:
        video(frame)
    with pytest.raises(Refused, match="otherwise"):
        video(others[-1])
    assert scalers.scaler((64, 96), (80, 120), scaling_to(80, 120)[0][1], "") is None


@needs_code
def test_where_memory_is_short_it_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mml_core.video.scaling", None)  # its import fails
    frame = random_frame(64, 96)
    video = filtered(frame, (80, 120), Scalers(0))
    video(frame)
    assert video._scaler is None


def encoded(path: Path, height: int, width: int, count: int, **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "4", **options})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames_of(count, height, width):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@needs_code
@pytest.mark.parametrize("size", [(72, 96), (65, 90), (90, 64)])
def test_jpegs_are_the_same(tmp_path: Path, size: tuple[int, int]) -> None:
    request = JpegVideo(encoded(tmp_path / "video.mp4", *size, 9), 81, 90, Limits())._request()
    plain, compiled = (list(jpeg_worker.answer(request, Scalers(pixels))) for pixels in (NEVER, 0))
    assert [letter for letter, _ in plain] == [b"F"] * 9 + [b"E"]
    assert plain[:-1] == compiled[:-1]


def test_full_range_of_frames_is_that_of_planes() -> None:
    """The libavfilter way, which the other is held against, is itself the scaler and then the levels of shards."""
    frame = random_frame(64, 96)
    lines = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1) for plane in frame.planes]
    assert_same(filtered(frame, (64, 96))(frame), full_range(Planes(*lines, 96), ""))
