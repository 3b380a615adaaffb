"""Labels that hold for a part of a video: which of them a training clip shows.

A clip's span is from the first to the last of all items that its modalities take, numbered as in their shards, with all
between them, whether sampled or not. Item i is at i / frame_rate seconds: that is the time of rgb frame i, and of the
first of the two frames of field or difference i. This is the rule of SlowFast's loader for Charades, which joins the
labels of all frames from the first to the last of a training clip (slowfast/datasets/charades.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mml_core.clips.positions import Starts

if TYPE_CHECKING:
    from mml_core.annotations import Segment


def clip_span(
    starts: Mapping[str, Starts], lengths: Mapping[str, int], counts: Mapping[str, int], frame_rate: float
) -> tuple[float, float]:
    """Return the times of the first and the last item of a clip, in seconds.

    By modality: `starts` (T,) of the stacks, `lengths` the items of a stack, and `counts` the items of the video, past
    whose end a stack repeats the last one. `frame_rate` in frames a second, more than 0.
    """
    first = min(int(starts[name].min()) for name in starts)
    last = max(min(int(starts[name].max()) + lengths[name], counts[name]) - 1 for name in starts)
    return first / frame_rate, last / frame_rate


def labels_between(segments: Iterable[Segment], first_sec: float, last_sec: float) -> tuple[int, ...]:
    """Return the classes, ascending, of the segments that share a moment with first_sec … last_sec, ends included."""
    shown = {
        segment.label
        for segment in segments
        if max(segment.start_sec, first_sec) <= min(segment.end_sec, last_sec)  # never where it ends before it starts
    }
    return tuple(sorted(shown))
