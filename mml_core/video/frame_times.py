"""When each frame of a video is shown, for what belongs to the frames of an instant: its sound.

A second decoding that keeps the times alone: ffmpeg writes a line for each frame that it would decode for a shard.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.video.child import SIGNALS_OF_OTHERS, child_process
from mml_core.video.ffmpeg import ffmpeg_binary
from mml_core.video.sources import MOST_CODED_PIXELS, VideoError, video_file
from mml_core.video.spans import Cut, cut_of
from mml_core.video.track_messages import TrackMessages

#: A line of ffmpeg's framecrc: stream, time of decoding, time, duration, size, checksum.
_FRAME = re.compile(rb"0, *(?:-?\d+|NOPTS), *(-?\d+|NOPTS), *(\d+),")
_US = 1_000_000
#: No video goes on for longer, in microseconds: eleven days.
_MOST_US = 10**12
#: How long we wait for messages of ffmpeg that are under way.
_HEADER_SEC = 10.0


class FrameTimes(NamedTuple):
    """When frames are shown, in microseconds from the first time in any track of the file."""

    starts_us: NDArray[np.int64]  # (N,), never decreasing
    end_us: int  # of the last frame

    @property
    def edges_us(self) -> NDArray[np.int64]:
        """Where each frame begins, and the last ends, (N + 1,): frame t is shown from edge t to edge t + 1."""
        return np.append(self.starts_us, self.end_us)


def frame_times(
    path: Path,
    limits: Limits,
    frames_per_sec: float | None,
    frame_rate: float,
    span_sec: tuple[float, float] | None = None,
) -> FrameTimes:
    """Return when the frames are shown that `DecodedVideo` yields for the video at `path`.

    frames_per_sec: given, frames are left out or repeated so that there are so many, and are shown at its multiples.
    frame_rate: mean frames a second, for the span of the last frame where the file does not say; may be NaN.
    span_sec: given, of the frames of this span (`mml_core.video.spans`).

    A time that goes back counts as the one before; one that is missing, as the end of the frame before. Raises
    VideoError where the file has no track of sound, before any frame is decoded for it, and where it cannot be decoded;
    InputError where ffmpeg was killed, which is no fault of the video.
    """
    messages, limit_sec = TrackMessages(), limits.decode_timeout_sec
    cut, memory_bytes = cut_of(path, span_sec), limits.decode_memory_bytes
    command = _command(path, frames_per_sec, cut)
    with child_process(command, limit_sec, messages.take, memory_bytes=memory_bytes) as child:
        lines = list(_lines(child.stdout, messages, limits.max_frames))
        status = child.wait()
    if child.timed_out:
        raise VideoError(f"timed out: no times of its frames within {limit_sec:g} s")
    if -status in SIGNALS_OF_OTHERS or (status > 0 and messages.told_to_end):
        raise InputError("ffmpeg was killed while it read times", file=path, hint="run the same command again")
    if status != 0 or not lines:
        raise VideoError(f"no times of its frames: ffmpeg ended with status {status}")
    begin_us = 0 if cut is None else round(cut.start_sec * _US)  # the times of a cut count from its beginning
    return spans(lines, messages.shift_us + begin_us, frame_rate)


def spans(lines: list[tuple[int | None, int]], shift_us: int, frame_rate: float) -> FrameTimes:
    """Return the times of frames by their stated times (None: missing) and durations (0: unknown), microseconds.

    The last frame without a duration is shown as long as a frame is at `frame_rate`; where that is unknown too, as
    long as the median of the others. Raises VideoError for times that no video has.
    """
    starts: list[int] = []
    for time, _ in lines:
        latest = starts[-1] if starts else 0
        if time is None:
            time = latest + (lines[len(starts) - 1][1] if starts else 0)
        starts.append(max(time, latest) if starts else time)
    last_us = lines[-1][1]
    if not last_us and math.isfinite(frame_rate) and frame_rate > 0:
        last_us = round(_US / frame_rate)
    if not last_us and len(starts) > 1:
        last_us = int(np.median(np.diff(starts)))
    end_us = starts[-1] + last_us + shift_us
    if max(abs(starts[0] + shift_us), abs(end_us)) > _MOST_US:
        raise VideoError("the times of its frames make no sense")
    return FrameTimes(np.array(starts, np.int64) + shift_us, end_us)


def _lines(stream: IO[bytes], messages: TrackMessages, most: int) -> Iterator[tuple[int | None, int]]:
    """Yield time and duration of each frame, in microseconds."""
    count = 0
    for line in stream:
        if match := _FRAME.match(line):
            if not count:  # ffmpeg has said all about the file before it writes a frame
                messages.complete.wait(_HEADER_SEC)
                if not messages.sounds:
                    raise VideoError("no sound track")
            count += 1
            if count > most:
                raise VideoError(f"too long: more than {most} frames")
            yield (None if match[1] == b"NOPTS" else int(match[1])), int(match[2])


def _command(path: Path, frames_per_sec: float | None, cut: Cut | None) -> list[str]:
    """Return ffmpeg's command line: what it decodes is what `DecodedVideo` does, and a line a frame comes out."""
    source, entry = video_file(path), {} if cut is None else cut.options
    limits: dict[str, Any] = {"protocol_whitelist": "file,pipe", "max_pixels": MOST_CODED_PIXELS, "threads": 1}
    video = ffmpeg.input(source.address, **limits, **entry, **source.options)["V:0"]
    if cut is not None:
        video = cut.frames(video)
    if frames_per_sec is not None:
        video = video.filter("fps", fps=frames_per_sec)
    lines = video.filter("scale", w=16, h=16, flags="neighbor").output(
        "pipe:1",
        format="framecrc",
        vcodec="rawvideo",
        fps_mode="passthrough",
        enc_time_base=f"1:{_US}",
        threads=1,
    )
    quiet = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+verbose")
    return lines.global_args(*quiet, "-filter_complex_threads", "1").compile(cmd=ffmpeg_binary())
