"""What ffmpeg reads: a video file, or a folder of numbered frames that is read as if it were one."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml_core.io.files import disk_faults_told

#: Demuxers of real containers. Playlists, concatenation scripts, images and text are refused, since they may name
#: other files.
CONTAINERS = "mov,mp4,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,ogg,nut,gif,mxf,dv,rm"
#: Largest coded frame in pixels (8192 x 8192), so that a forged header cannot ask for all memory.
MOST_CODED_PIXELS = 1 << 26
_FRAME = re.compile(r"[0-9]{5}\.jpg")


class VideoError(Exception):
    """A video cannot be used; the text is the short reason that the quality table shows."""


@dataclass(frozen=True)
class Source:
    """What ffmpeg reads: its address, and the options that it is opened with."""

    address: str
    options: Mapping[str, Any]
    frames: int | None = None  # where their number is known before
    frames_per_sec: float = math.nan  # of these

    def expected(self, frames_per_sec: float | None) -> float | None:
        """Return how many frames there are at a rate (None: its own), within one; None where that is not known."""
        if self.frames is None or frames_per_sec is None:
            return self.frames
        return self.frames / self.frames_per_sec * frames_per_sec


def video_file(path: Path) -> Source:
    """Return the video file at `path` as a source; raises as `check_file` does."""
    check_file(path)
    # "file:" keeps names with colons or leading dashes from being read as protocols or options.
    return Source(f"file:{path.absolute()}", {"format_whitelist": CONTAINERS})


def frame_folder(path: Path, frames_per_sec: float) -> Source:
    """Return the frames `00001.jpg`, `00002.jpg`, … in the folder `path`, shown at `frames_per_sec`, as a source.

    Other files in it do not count. Raises VideoError where there is no frame, a number is missing before the last, or
    a frame is empty or no regular file (a link may lead anywhere); InputError where we may not read one.
    """
    with disk_faults_told(path):
        if not path.is_dir():
            raise VideoError("no such folder of frames" if not path.exists() else "not a folder of frames")
        with os.scandir(path) as entries:
            frames = {entry.name: entry for entry in entries if _FRAME.fullmatch(entry.name)}
        if not frames:
            raise VideoError("no frames: the folder holds no 00001.jpg, 00002.jpg, …")
        for number in range(1, len(frames) + 1):
            name = f"{number:05d}.jpg"
            if name not in frames:
                raise VideoError(f"frame {name} is missing, and there are later ones")
            _check_frame(frames[name])
    options = {
        "format_whitelist": "image2",
        "format": "image2",
        "pattern_type": "sequence",
        "start_number": 1,
        "start_number_range": 1,
        "framerate": frames_per_sec,
        "vcodec": "mjpeg",
    }
    folder = str(path.absolute()).replace("%", "%%")  # in the folder's own name it is no pattern
    return Source(f"file:{folder}/%05d.jpg", options, len(frames), frames_per_sec)


def _check_frame(frame: os.DirEntry[str]) -> None:
    if not frame.is_file(follow_symlinks=False):
        raise VideoError(f"frame {frame.name} is no regular file")
    if frame.stat().st_size == 0:
        raise VideoError(f"frame {frame.name} is empty")
    if not os.access(frame.path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), frame.path)


def check_file(path: Path) -> None:
    """Raise VideoError where there is no file at `path`, or an empty one; InputError where we may not read it.

    The latter is no fault of the video: quarantined, it would be missing for good.
    """
    with disk_faults_told(path):
        there = path.exists()
    if not there:
        raise VideoError("no such file")
    if not path.is_file():
        raise VideoError("not a file")
    if path.stat().st_size == 0:
        raise VideoError("empty file")
    with disk_faults_told(path), path.open("rb") as file:
        file.read(1)
