"""Windows of videos, found while frames arrive, against what they are once all frames are known."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.inference.windows import Span, Windows, spans


def expected(windows: Windows, rate: float, count: int, least: int) -> list[Span]:
    """The windows of a video of `count` frames, from its length."""
    length = max(least, round(windows.length_sec * rate))
    if count <= max(least, round(windows.whole_sec * rate)):
        return [Span(0, count)] if count else []
    firsts = sorted({round(k * (windows.stride_sec * rate)) for k in range(count + 2)})
    whole = [Span(first, first + length) for first in firsts if first + length <= count]
    later = [first for first in firsts if first + length > count]
    if whole[-1].stop < count and later[0] < count:
        whole.append(Span(count - length, count))
    return whole


LENGTHS = st.floats(0.05, 3)


@given(LENGTHS, LENGTHS, st.floats(1, 3), st.floats(1, 30), st.integers(0, 100), st.integers(2, 4))
def test_windows_are_those_of_the_whole_video(
    length: float, stride: float, factor: float, rate: float, count: int, least: int
) -> None:
    """Where no stride is shorter than a frame, which is looked at apart."""
    windows = Windows(length, max(stride, 1 / rate), length * factor)
    found, kept = [], 0
    arrivals = iter(range(1, count + 1))
    arrived = 0

    def counting() -> Iterator[int]:
        nonlocal arrived
        for number in arrivals:
            arrived = number
            yield number

    for span, needed in spans(windows, rate, counting(), least):
        if span is not None:
            assert kept <= span.first < span.stop <= arrived, "no frame that was forgotten, or has not arrived"
            found.append(span)
        kept = max(kept, needed)
        longest = max(round(windows.length_sec * rate), round(windows.whole_sec * rate), least)
        assert arrived - kept <= longest + 1, "memory does not grow with the video"
    assert found == expected(windows, rate, count, least)


def test_the_examples_of_the_documentation() -> None:
    minute = range(1, 1801)
    ten = [span for span, _ in spans(Windows(10, 10, 10), 30, minute, 2) if span]
    assert [(first / 30, stop / 30) for first, stop in ten] == [(10 * k, 10 * k + 10) for k in range(6)]
    over = [span for span, _ in spans(Windows(10, 5, 10), 30, range(1, 646), 2) if span]
    assert [(first / 30, stop / 30) for first, stop in over] == [(0, 10), (5, 15), (10, 20), (11.5, 21.5)]
    assert [span for span, _ in spans(Windows(), 30, minute, 2)] == [Span(0, 1800)]


def test_a_stride_below_a_frame_shows_no_window_twice() -> None:
    found = [span for span, _ in spans(Windows(1, 0.03, 1), 10, range(1, 14), 2) if span]
    assert found == [Span(k, k + 10) for k in range(4)]


@pytest.mark.parametrize("lengths", [(0, 1, 1), (1, 0, 1), (2, 1, 1), (math.nan, 1, 1), (-1, 1, 1)])
def test_lengths_that_are_none(lengths: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected windows with a length"):
        Windows(*lengths)
