"""Which ffmpeg is used."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess

import imageio_ffmpeg

from mml_core.errors import InputError

#: First version with the option `-fps_mode`.
_OLDEST = (5, 1)


@functools.cache
def ffmpeg_binary() -> str:
    """Return the path of ffmpeg: the system's where it is recent enough, else the one that imageio-ffmpeg brings.

    Raises InputError where there is neither.
    """
    system = shutil.which("ffmpeg")
    if system is not None and _recent(_version_line(system)):
        return system
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise InputError(
            "no ffmpeg found", hint=f"install ffmpeg {_OLDEST[0]}.{_OLDEST[1]} or later, or imageio-ffmpeg with pip"
        ) from error


@functools.cache
def ffmpeg_version() -> str:
    """Return the version of `ffmpeg_binary()` as it calls itself, e.g. `7.1`."""
    return _version_line(ffmpeg_binary()).split()[2]


def _version_line(binary: str) -> str:
    """Return the first line of `ffmpeg -version`: `ffmpeg version 7.1 Copyright …`."""
    result = subprocess.run([binary, "-version"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return result.stdout.splitlines()[0]


def _recent(version_line: str) -> bool:
    """Whether the version is at least `_OLDEST`; builds from git, numbered N-12345, are taken for recent."""
    match = re.match(r"ffmpeg version n?(\d+)\.(\d+)", version_line)
    return match is None or (int(match[1]), int(match[2])) >= _OLDEST
