"""Decoding: every frame of a video's first video stream exactly once, upright, with square pixels.

Where another frame rate is asked for, ffmpeg's filter fps moves each frame to the nearest multiple of its new duration.
Of several that fall together the last stays; where none falls, the one before is repeated. None are blended. Else the
times of frames say nothing: they may repeat, go back or be missing.

ffmpeg writes the frames in a form that tells their size, so that no separate probe is needed. Any damage to them that
ffmpeg notices (exit status, or a message of level error) makes the video fail: a truncated or damaged file is
quarantined with its reason, never silently shortened. ffmpeg scales what follows a change of size to the size of the
frames before, so that their shape is looked at before that (`mml_core.video.messages`).
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.video.child import SIGNALS_OF_OTHERS, child_process
from mml_core.video.coded_shapes import check_coded_shapes, may_change
from mml_core.video.ffmpeg import ffmpeg_binary
from mml_core.video.messages import Messages, Stated
from mml_core.video.pictures import MOST_ASPECT, RGB, YUV, Output, Picture
from mml_core.video.shapes import Box, Shape
from mml_core.video.sources import MOST_CODED_PIXELS, Source, VideoError, frame_folder, video_file
from mml_core.video.spans import cut_of
from mml_core.video.yuv import Planes

_MESSAGE_LENGTH = 200
#: Shorter side of a frame that is only decoded to see how large it is.
_PROBED_PX = 16
_OUT_OF_MEMORY = re.compile(r"Cannot allocate memory|get_buffer\(\) failed|Failed to allocate", re.IGNORECASE)
#: Codecs whose decoders in ffmpeg forget the frame that waits for its turn when the size of the picture changes.
_LOSE_A_FRAME = ("mpeg1video", "mpeg2video", "mpeg4")
#: How long we wait for messages of ffmpeg that are under way.
_HEADER_SEC = 10.0


class DecodedVideo:
    """The frames of the video at `path`, scaled to a shorter side of `short_side_px`; may be iterated once.

    least_px: given, a video whose shorter side is between this and `short_side_px` keeps its size.
    square: frames are of `short_side_px` a side, whatever the video's aspect.
    frames_per_sec: given, frames are left out or repeated so that there are so many a second; limits hold for these.
    folder_frames_per_sec: given, `path` is a folder of frames `00001.jpg`, …, which are shown at this rate.
    box: given, frames are this part of the picture, in pixels before they are scaled; sizes are then those of the part.
    end: given, the frames before this one are all; ffmpeg reads on for a few frames, where a fault may be met.
    span_sec: given, those frames are all whose time is in this span (`mml_core.video.spans`).

    Iterating yields uint8 arrays (H, W, 3), RGB, all of one size; `planes()` yields the same frames as JPEGs hold them.
    Rotation flags and the sample aspect ratio are applied. One thread of ffmpeg does the work and nothing is kept, so
    memory does not depend on the video's length.
    The time limit includes what the consumer does between the frames.
    Raises VideoError, while iterating, for everything that is wrong with the video, at the latest when the frame after
    the last is asked for: who stops before does not know whether the frames are whole. Raises InputError where ffmpeg
    was killed from outside, which is no fault of the video.
    """

    def __init__(
        self,
        path: Path,
        short_side_px: int,
        limits: Limits,
        *,
        least_px: int | None = None,
        square: bool = False,
        frames_per_sec: float | None = None,
        folder_frames_per_sec: float | None = None,
        box: Box | None = None,
        end: int | None = None,
        span_sec: tuple[float, float] | None = None,
    ) -> None:
        self._path, self._short_side_px, self._limits = path, short_side_px, limits
        self._least_px = short_side_px if least_px is None else least_px
        self._square = square
        self._frames_per_sec, self._folder_rate = frames_per_sec, folder_frames_per_sec
        self._box, self._end, self._cut = box, end, cut_of(path, span_sec)
        #: Known from the first frame on: what the container states; the picture that was scaled, upright; its format.
        self.stated = Stated()
        self.shape: Shape | None = None
        self.pixel_format = ""
        #: The matrix of its colours that the video states, as ffmpeg calls it; empty where it does not.
        self.matrix = ""

    @property
    def frame_rate(self) -> float:
        """Frames a second: those asked for, else the mean that the container states, NaN where it does not.

        Known from the first frame on.
        """
        return self._frames_per_sec or self._folder_rate or self.stated.frame_rate

    def __iter__(self) -> Generator[NDArray[np.uint8]]:
        return self._decoded(RGB)

    def planes(self) -> Generator[Planes]:
        """Yield the frames as luma and colours of half the size, by `matrix`; they are another scaling of the video."""
        return self._decoded(YUV)

    def _decoded(self, output: Output[Picture]) -> Generator[Picture]:
        source = self._source()
        messages, limit_sec, count = Messages(), self._limits.decode_timeout_sec, 0
        memory_bytes = self._limits.decode_memory_bytes
        with child_process(self._command(source, output), limit_sec, messages.take, memory_bytes=memory_bytes) as child:
            for frame in output.read(child.stdout, MOST_ASPECT * self._short_side_px):
                if count == self._limits.max_frames:
                    raise VideoError(f"too long: more than {self._limits.max_frames} frames")
                if not count:  # ffmpeg has said all about the file before it writes a frame
                    messages.complete.wait(_HEADER_SEC)
                    self.stated, self.shape = messages.stated, messages.shape
                    self.pixel_format, self.matrix = messages.pixel_format, messages.matrix
                yield frame
                count += 1
            status = child.wait()
        if child.timed_out:
            raise VideoError(f"timed out: not decoded within {limit_sec:g} s")
        self._check_frames(messages, status, count)
        self._check_count(source, count)
        if may_change(messages.container, messages.codec):
            check_coded_shapes(self._path, self._limits, self._end)

    def _source(self) -> Source:
        return video_file(self._path) if self._folder_rate is None else frame_folder(self._path, self._folder_rate)

    def _check_frames(self, messages: Messages, status: int, count: int) -> None:
        """Raise where ffmpeg was killed, or the `count` frames that it wrote are not those of the video."""
        if -status in SIGNALS_OF_OTHERS or (status > 0 and messages.told_to_end):
            raise InputError(
                "ffmpeg was killed while it decoded",
                file=self._path,
                hint="run the same command again; where memory ran out, with fewer threads",
            )
        if not messages.shape_kept:
            raise VideoError("the shape of the picture changes")
        if not messages.size_kept and messages.codec in _LOSE_A_FRAME:
            raise VideoError("the size of the picture changes, at which its decoder loses a frame")
        if messages.configurations > 1 and self._box is not None:
            raise VideoError("the size or kind of its pixels changes, so that it is not known what to cut out of them")
        if messages.configurations > 1 and self._frames_per_sec is not None:  # a new filter does not know what waits
            raise VideoError("the size or kind of its pixels changes, at which ffmpeg loses a frame at another rate")
        if status != 0 or messages.error is not None:
            error = messages.error or f"ffmpeg ended with status {status}"
            if _OUT_OF_MEMORY.search(error):
                raise VideoError(f"decoding needs more memory than {self._limits.decode_memory_gib:g} GiB")
            # where this machine keeps its files is nobody's business who reads the table of bad videos
            path = self._path.absolute()
            error = error.replace(f"file:{path}: ", "").replace(f"file:{path}/", "")
            raise VideoError(_reason(error, None if messages.shape is None else count))
        if self._cut is not None and self._cut.missed(messages.entered_sec):
            raise VideoError(f"no frame was met before its span, which begins at {self._cut.start_sec:g} s")

    def _check_count(self, source: Source, count: int) -> None:
        """Raise VideoError where `count` decoded frames are too few, or not as many as the source has."""
        expected = source.expected(self._frames_per_sec)
        if expected is not None and abs(count - expected) >= 1:
            raise VideoError(f"{count} frames were decoded, and {expected:.4g} are there")
        if count < self._limits.min_frames:
            raise VideoError(f"too short: {count} frames, at least {self._limits.min_frames} are needed")

    def _command(self, source: Source, output: Output[Picture]) -> list[str]:
        """Return ffmpeg's command line: pictures on standard output, messages with their level on standard error."""
        limits: dict[str, Any] = {"protocol_whitelist": "file,pipe", "max_pixels": MOST_CODED_PIXELS, "threads": 1}
        entry = {} if self._cut is None else self._cut.options
        video = ffmpeg.input(source.address, **limits, **entry, **source.options)["V:0"]  # capital V: no cover pictures
        if self._cut is not None:
            video = self._cut.frames(video)
        if self._frames_per_sec is not None:
            video = video.filter("fps", fps=self._frames_per_sec)
        for name, options in output.filters(self._least_px, self._short_side_px, square=self._square, box=self._box):
            video = video.filter(name, **options)
        images = video.output(
            "pipe:1",
            **output.options,
            fps_mode="passthrough",
            threads=1,
            **{"bsf:v": "setts=ts=N"},  # whatever the file says, what is written later is later
            **({} if self._end is None else {"frames:v": self._end}),
        )
        quiet = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+verbose")
        return images.global_args(*quiet, "-xerror", "-filter_complex_threads", "1").compile(cmd=ffmpeg_binary())


def picture_size(path: Path, limits: Limits, folder_frames_per_sec: float | None = None) -> tuple[int, int]:
    """Return width and height of a video's first frame, upright and before it is scaled; raises as `DecodedVideo` does.

    folder_frames_per_sec: given, `path` is a folder of frames.
    """
    video = DecodedVideo(path, _PROBED_PX, limits, folder_frames_per_sec=folder_frames_per_sec, end=1)
    with closing(iter(video)) as frames:
        next(frames)
    if video.shape is None:
        raise VideoError("its size is not known")
    return video.shape[:2]


def _reason(error: str, count: int | None) -> str:
    """Return a short reason from ffmpeg's first error and how many frames were written; None: none was decoded."""
    if "matches no streams" in error:
        return "no video stream"
    if "not on whitelist" in error:
        return "not a video in a known container"
    error = error[:_MESSAGE_LENGTH]
    return (
        f"cannot be opened as a video: {error}" if count is None else f"decoding failed after {count} frames: {error}"
    )
