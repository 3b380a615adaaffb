"""Spans of video files: where ffmpeg enters a file for one, and which frames are left of what it then decodes.

Of a span, those frames are decoded whose time lies in it, the same as if all were decoded and the others left out.
Times are as players count them, from the file's first sound or picture (in streamed containers as MPEG-TS, from the
first picture). Files with an index are entered some seconds before the span, at a key frame, so that what is before
costs little; where the index leads behind the span's beginning, that is noticed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffmpeg.nodes import Stream

#: Containers with an index of key frames that stand for themselves, by ending; others are read from the beginning.
_INDEXED = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
#: How long before a span they are entered: frames behind a key frame may need some from before it.
RUN_UP_SEC = 10.0


@dataclass(frozen=True)
class Cut:
    """A span of a file, in seconds, the end not included, and the time at which ffmpeg is to enter the file."""

    start_sec: float
    end_sec: float
    entry_sec: float  #: 0: at the beginning

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of ffmpeg's input, from whose first key frame on all frames are decoded."""
        return {"ss": self.entry_sec, "noaccurate_seek": None} if self.entry_sec else {}

    def frames(self, video: Stream) -> Stream:
        """Return the frames of the span; their times count from its beginning, in microseconds."""
        start, end = self.start_sec - self.entry_sec, self.end_sec - self.entry_sec
        told = video.filter("showinfo", checksum=0)
        kept = told.filter("trim", start=f"{start:.6f}", end=f"{end:.6f}")
        return kept.filter("settb", expr="1/1000000").filter("setpts", f"PTS-{round(start * 1e6)}")

    def missed(self, entered_sec: float) -> bool:
        """Whether frames of the span may be missing: the first that was decoded is behind its beginning, or none was.

        entered_sec: time of that frame, counted from where ffmpeg was to enter the file; NaN where it told of none.
        """
        return self.entry_sec > 0 and (math.isnan(entered_sec) or entered_sec > self.start_sec - self.entry_sec)


def cut_of(path: Path, span_sec: tuple[float, float] | None) -> Cut | None:
    """Return what is to be cut out of the file at `path`; None for all of it."""
    if span_sec is None:
        return None
    entry = max(span_sec[0] - RUN_UP_SEC, 0.0) if path.suffix.lower() in _INDEXED else 0.0
    return Cut(*span_sec, entry)
