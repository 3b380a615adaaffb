"""Decoding: every frame of a video's first video stream exactly once, upright, with square pixels.

Where another frame rate is asked for, ffmpeg's filter fps moves each frame to the nearest multiple of its new duration.
Of several that fall together the last stays; where none falls, the one before is repeated. None are blended.

ffmpeg writes the frames as PPM images, each with its own header, so that no separate probe is needed. Any damage that
ffmpeg notices (exit status, or a message of level error) makes the video fail: a truncated or damaged file is
quarantined with its reason, never silently shortened.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.video.child import SIGNALS_OF_OTHERS, child_process
from mml_core.video.ffmpeg import ffmpeg_binary
from mml_core.video.sources import Source, VideoError, frame_folder, video_file

#: Largest coded frame in pixels (8192 x 8192), so that a forged header cannot ask for all memory.
MOST_CODED_PIXELS = 1 << 26
#: Largest ratio of the sides; keeps the stacked planes of a difference below JPEG's 65,500 pixels.
_MOST_ASPECT = 8
_MESSAGE_LENGTH = 200
_OUT_OF_MEMORY = re.compile(r"Cannot allocate memory|get_buffer\(\) failed|Failed to allocate", re.IGNORECASE)
#: How long we wait for messages of ffmpeg that are under way.
_HEADER_SEC = 10.0


@dataclass(frozen=True)
class Stated:
    """What a container states, as ffmpeg says it; NaN or 0 where it does not."""

    frame_rate: float = math.nan  # mean frames a second
    duration_sec: float = math.nan
    width: int = 0  # as coded: before rotation, in pixels that may not be square
    height: int = 0
    pixel_aspect: float = 1.0  # width of a pixel by its height

    def scale_of(self, height: int, width: int) -> float:
        """Return how many pixels of decoded frames (height, width) come from one of the upright video, as a length."""
        if not self.width or not self.height:
            return math.nan
        shown = self.width * self.pixel_aspect, float(self.height)
        turned = float(self.height) / self.pixel_aspect, float(self.width)
        own = min(shown, turned, key=lambda size: abs(math.log(width / height * size[1] / size[0])))
        return min(height, width) / min(own)


class DecodedVideo:
    """The frames of the video at `path`, scaled to a shorter side of `short_side_px`; may be iterated once.

    least_px: given, a video whose shorter side is between this and `short_side_px` keeps its size.
    frames_per_sec: given, frames are left out or repeated so that there are so many a second; limits hold for these.
    folder_frames_per_sec: given, `path` is a folder of frames `00001.jpg`, …, which are shown at this rate.

    Iterating yields uint8 arrays (H, W, 3), RGB. Rotation flags and the sample aspect ratio are applied. One thread of
    ffmpeg does the work and nothing is kept, so memory does not depend on the video's length. The time limit includes
    what the consumer does between the frames.
    Raises VideoError, while iterating, for everything that is wrong with the video; InputError where ffmpeg was killed
    from outside, which is no fault of the video.
    """

    def __init__(
        self,
        path: Path,
        short_side_px: int,
        limits: Limits,
        *,
        least_px: int | None = None,
        frames_per_sec: float | None = None,
        folder_frames_per_sec: float | None = None,
    ) -> None:
        self._path, self._short_side_px, self._limits = path, short_side_px, limits
        self._least_px = short_side_px if least_px is None else least_px
        self._frames_per_sec, self._folder_rate = frames_per_sec, folder_frames_per_sec
        #: Known from the first frame on.
        self.stated = Stated()

    @property
    def frame_rate(self) -> float:
        """Frames a second: those asked for, else the mean that the container states, NaN where it does not.

        Known from the first frame on.
        """
        return self._frames_per_sec or self._folder_rate or self.stated.frame_rate

    def __iter__(self) -> Generator[NDArray[np.uint8]]:
        source = self._source()
        messages, limit_sec, count = _Messages(), self._limits.decode_timeout_sec, 0
        command = _command(source, self._least_px, self._short_side_px, self._frames_per_sec)
        memory_bytes = self._limits.decode_memory_bytes
        with child_process(command, limit_sec, messages.take, memory_bytes=memory_bytes) as child:
            for frame in self._checked(_ppm_images(child.stdout, _MOST_ASPECT * self._short_side_px)):
                if not count:  # ffmpeg has said all about the file before it writes a frame
                    messages.complete.wait(_HEADER_SEC)
                    self.stated = messages.stated
                yield frame
                count += 1
            status = child.wait()
        if child.timed_out:
            raise VideoError(f"timed out: not decoded within {limit_sec:g} s")
        if -status in SIGNALS_OF_OTHERS or (status > 0 and messages.told_to_end):
            raise InputError(
                "ffmpeg was killed while it decoded",
                file=self._path,
                hint="run the same command again; where memory ran out, with fewer threads",
            )
        if status != 0 or messages.error is not None:
            error = messages.error or f"ffmpeg ended with status {status}"
            if _OUT_OF_MEMORY.search(error):
                raise VideoError(f"decoding needs more memory than {self._limits.decode_memory_gib:g} GiB")
            # where this machine keeps its files is nobody's business who reads the table of bad videos
            path = self._path.absolute()
            raise VideoError(_reason(error.replace(f"file:{path}: ", "").replace(f"file:{path}/", ""), count))
        self._check_count(source, count)

    def _source(self) -> Source:
        return video_file(self._path) if self._folder_rate is None else frame_folder(self._path, self._folder_rate)

    def _check_count(self, source: Source, count: int) -> None:
        """Raise VideoError where `count` decoded frames are too few, or not as many as the source has."""
        expected = source.expected(self._frames_per_sec)
        if expected is not None and abs(count - expected) >= 1:
            raise VideoError(f"{count} frames were decoded, and {expected:.4g} are there")
        if count < self._limits.min_frames:
            raise VideoError(f"too short: {count} frames, at least {self._limits.min_frames} are needed")

    def _checked(self, frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Pass `frames` on while all have the size of the first and they are not too many."""
        shape: tuple[int, ...] | None = None
        for number, frame in enumerate(frames):
            if number == self._limits.max_frames:
                raise VideoError(f"too long: more than {self._limits.max_frames} frames")
            if shape not in (None, frame.shape):
                raise VideoError(f"the shape of the picture changes after {number} frames")
            shape = frame.shape
            yield frame


def _command(source: Source, least_px: int, most_px: int, frames_per_sec: float | None) -> list[str]:
    """Return ffmpeg's command line: PPM images on its standard output, messages with their level on standard error."""
    limits: dict[str, Any] = {
        "protocol_whitelist": "file,pipe",
        "max_pixels": MOST_CODED_PIXELS,
        "threads": 1,
    }
    video = ffmpeg.input(source.address, **limits, **source.options)["V:0"]  # capital V: no cover pictures
    if frames_per_sec is not None:
        video = video.filter("fps", fps=frames_per_sec)
    upright = "lte(iw*sar,ih)"  # after rotation; sar is 1 where the file does not say
    side = most_px if least_px == most_px else f"clip(round(min(iw*sar,ih)),{least_px},{most_px})"
    scaled = video.filter(
        "scale",
        w=f"if({upright},{side},round({side}*iw*sar/ih))",
        h=f"if({upright},round({side}*ih/(iw*sar)),{side})",
        flags="bicubic+accurate_rnd+full_chroma_int+bitexact",
    )
    images = scaled.output(
        "pipe:1", format="image2pipe", vcodec="ppm", pix_fmt="rgb24", fps_mode="passthrough", threads=1
    )
    quiet = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+info")
    return images.global_args(*quiet, "-xerror", "-filter_complex_threads", "1").compile(cmd=ffmpeg_binary())


def _ppm_images(stream: IO[bytes], most_side_px: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the PPM images (H, W, 3) of `stream`; an image cut off at the end is dropped."""
    while stream.readline() == b"P6\n":
        width, height = map(int, stream.readline().split())
        if max(width, height) > most_side_px:
            raise VideoError(f"sides differ by more than a factor of {_MOST_ASPECT}")
        stream.readline()  # largest value, always 255
        image = np.empty((height, width, 3), np.uint8)
        if stream.readinto(image.data.cast("B")) < image.size:
            return
        yield image


class _Messages:
    """Keeps what matters of ffmpeg's messages."""

    _ERROR = re.compile(r"(?:\[[^\]]* @ [^\]]*\] )*\[(?:error|fatal|panic)\] (.+)")
    _TOLD_TO_END = re.compile(r"\[info\] Exiting normally, received signal \d+")
    _CHANGE = re.compile(r"(?:\[[^\]]* @ [^\]]*\] )*\[info\] Reconfiguring filter graph because .*, (\d+)x(\d+)")
    _STREAM = re.compile(r"\[info\] +Stream #0:.* Video: (.*, ([0-9.]+k?) fps.*|.*)")
    _DURATION = re.compile(r"\[info\] +Duration: (\d+):(\d\d):(\d\d\.\d+),")
    _SIZE = re.compile(r", (\d+)x(\d+)(?=[ ,]|$)")
    _ASPECT = re.compile(r"\bSAR (\d+):(\d+)\b")

    def __init__(self) -> None:
        #: The first error, which is the cause of those after it.
        self.error: str | None = None
        self.stated = Stated()
        #: Whether ffmpeg ended since a signal told it to, which is no fault of the video.
        self.told_to_end = False
        #: Set once `stated` is all that there will be.
        self.complete = threading.Event()

    def take(self, line: str) -> None:
        """Look at the next line."""
        if self.error is None and (match := self._ERROR.match(line)):
            self.error = match[1]
        # newer versions of ffmpeg stretch what follows to the size of the frames before
        known = (str(self.stated.width), str(self.stated.height))
        if self.error is None and (match := self._CHANGE.match(line)) and match.groups() != known:
            self.error = "the shape of the picture changes"
        self.told_to_end |= self._TOLD_TO_END.match(line) is not None
        if self.complete.is_set():
            return
        if match := self._DURATION.match(line):
            hours, minutes, seconds = map(float, match.groups())
            self.stated = replace(self.stated, duration_sec=3600 * hours + 60 * minutes + seconds)
        elif not self.stated.width and "(attached pic)" not in line and (match := self._STREAM.match(line)):
            self.stated = replace(self.stated, **self._of_stream(match[1], match[2]))
        elif line.startswith("[info] Output #0"):
            self.complete.set()

    def _of_stream(self, text: str, rate: str | None) -> dict[str, float]:
        found: dict[str, float] = {}
        if rate is not None:
            found["frame_rate"] = float(rate[:-1]) * 1000 if rate.endswith("k") else float(rate)
        if size := self._SIZE.search(text):
            found |= {"width": int(size[1]), "height": int(size[2])}
        if aspects := self._ASPECT.findall(text):  # the container's, which counts, comes after the codec's
            above, below = map(int, aspects[-1])
            found["pixel_aspect"] = above / below if above and below else 1.0
        return found


def _reason(error: str, count: int) -> str:
    """Return a short reason from ffmpeg's first error and the number of frames that came before the end."""
    if "matches no streams" in error:
        return "no video stream"
    if "not on whitelist" in error:
        return "not a video in a known container"
    error = error[:_MESSAGE_LENGTH]
    return f"decoding failed after {count} frames: {error}" if count else f"cannot be opened as a video: {error}"
