"""Windows of a video, found while its frames arrive: no more of them is kept than windows still need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

#: Frames a second of a video that does not say.
USUAL_RATE = 25.0


class Span(NamedTuple):
    """The frames `first` to `stop` - 1 of a video."""

    first: int
    stop: int


@dataclass(frozen=True)
class Windows:
    """Windows of `length_sec`, one every `stride_sec`; a video of at most `whole_sec` is one window, all of it.

    Raises ValueError where these are no lengths, or a whole video may be shorter than a window.
    """

    length_sec: float = math.inf
    stride_sec: float = math.inf
    whole_sec: float = math.inf

    def __post_init__(self) -> None:
        if not (self.length_sec > 0 and self.stride_sec > 0 and self.whole_sec >= self.length_sec):
            raise ValueError(f"expected windows with a length and a stride, no longer than a whole video, got {self}")


def spans(windows: Windows, rate: float, counts: Iterable[int], least: int) -> Iterator[tuple[Span | None, int]]:
    """Yield the windows of a video whose frames arrive, and which frames may be forgotten.

    Args:
        windows: in seconds.
        rate: frames a second.
        counts: 1, 2, …: how many frames have arrived, to the last.
        least: frames that a window has at least.

    Yields (window, first frame that is needed from now on) for each window once its frames are there, and (None, that
    frame) where no window ends. Window k begins at frame round(k * stride) and all but that of a whole video have the
    same number of frames: where the video ends within one, the last window ends with the video.
    """
    length, whole = _frames(windows.length_sec, rate, least), _frames(windows.whole_sec, rate, least)
    stride = windows.stride_sec * rate
    number, last, count = 0, Span(0, 0), 0

    def first(number: int) -> float:
        return round(number * stride) if number else 0

    for count in counts:
        while count > whole and first(number) + length <= count:
            begin = int(first(number))
            # so short a stride that frames do not move on: once each
            if begin > last.first or not last.stop:
                last = Span(begin, begin + int(length))
                yield last, int(max(0, min(first(number + 1), count - length)))
            number += 1
        if count > whole:
            yield None, int(max(0, min(first(number), count - length)))
    if count and not last.stop:
        yield Span(0, count), count
    elif last.stop < count and first(number) < count:
        yield Span(count - int(length), count), count


def _frames(seconds: float, rate: float, least: int) -> float:
    """Return how many frames `seconds` are: infinitely many, or a whole number."""
    return max(least, round(seconds * rate)) if math.isfinite(seconds) else math.inf
