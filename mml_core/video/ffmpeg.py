"""Which ffmpeg is used: the first that is recent enough, decodes a small video, and tells of it as we expect."""

from __future__ import annotations

import base64
import functools
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator, Sequence

import imageio_ffmpeg

from mml_core.errors import InputError
from mml_core.video.messages import Messages
from mml_core.video.shapes import Shape

#: First version with the option `-fps_mode`.
_OLDEST = (5, 1)
#: A grey frame of 16 x 16 pixels, as MPEG-1 in a transport stream that names its service, compressed. Static builds may
#: crash over such a name (7.0.2, of imageio-ffmpeg 0.5 to 0.7, does), so that every transport stream would be lost.
_SAMPLE = (
    b"c-nJ!5ENi=`k>0dc#whNKjVJ}#y<@r9zu+4Zf>~+sp*`-sYPX($*Bg0<u%Ty{tqtT?!X|xz_5WA>~;pm4-8rxSvLJ28o)gO=ys+JLSVN)Wca|q1R"
    b"~~jD_<M}Zg*rbXbE6osOG6-7*K}*BmDsbLqh|rA_M!4L?CZ7BZGkO|Njppfb1O%91IRXnt_4;{|_L|C>#|uQ2+pxeS3l"
)
#: What decoding needs of filters, encoders and options; builds may be without.
_SAMPLE_WORDS = (
    *("-nostdin", "-nostats", "-loglevel", "repeat+level+verbose", "-xerror", "-f", "mpegts", "-i", "pipe:0"),
    *("-filter_complex", "[0:V:0]fps=25,scale=16:16"),
    *(
        "-fps_mode",
        "passthrough",
        "-bsf:v",
        "setts=ts=N",
        "-f",
        "image2pipe",
        "-c:v",
        "ppm",
        "-pix_fmt",
        "rgb24",
        "pipe:1",
    ),
)
_LIMIT_SEC = 60.0
_FAULTS = (OSError, subprocess.SubprocessError)


@functools.cache
def ffmpeg_binary() -> str:
    """Return the path of ffmpeg: the system's where it can do our work, else the one that imageio-ffmpeg brings.

    Raises InputError where neither can, with what is wrong with each.
    """
    faults = []
    for binary in _candidates():
        fault = _fault(binary)
        if fault is None:
            return binary
        faults.append(f"{binary} {fault}")
    raise InputError(
        f"no ffmpeg found that can be used: {'; '.join(faults)}" if faults else "no ffmpeg found",
        hint=f"install ffmpeg {_OLDEST[0]}.{_OLDEST[1]} or later, or imageio-ffmpeg 0.8 or later with pip",
    )


@functools.cache
def ffmpeg_version() -> str:
    """Return the version of `ffmpeg_binary()` as it calls itself, e.g. `7.1`."""
    return _version(ffmpeg_binary())


def _candidates() -> Iterator[str]:
    system = shutil.which("ffmpeg")
    if system is not None:
        yield system
    try:
        yield imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        return  # it brings none for this machine


def _fault(binary: str) -> str | None:
    """Return what keeps a program from our work, to be read after its name; None where nothing does."""
    try:
        version = _version(binary)
    except _FAULTS as error:
        return f"does not start ({_told(error)})"
    if not _recent(version):
        return f"is version {version}"
    try:
        ended = _run(binary, _SAMPLE_WORDS, zlib.decompress(base64.b85decode(_SAMPLE)))
    except _FAULTS as error:
        return f"fails on a small video ({_told(error)})"
    if not ended.stdout.startswith(b"P6\n16 16\n"):
        return "writes nothing for a small video"
    messages = Messages()
    for line in ended.stderr.decode("utf-8", "replace").split("\n"):
        messages.take(line)
    told = (messages.container, messages.codec, messages.shape, messages.configurations)
    return None if told == ("mpegts", "mpeg1video", Shape(16, 16), 1) else "does not tell what it decodes as we expect"


def _run(binary: str, words: Sequence[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Return what a program writes when it is given `data`; raises one of `_FAULTS` where it fails."""
    return subprocess.run([binary, *words], input=data, capture_output=True, check=True, timeout=_LIMIT_SEC)


def _told(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError) and error.returncode > 0:
        said = error.stderr.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(said) if line.strip()), f"status {error.returncode}")
    return f"status {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else str(error)


def _version(binary: str) -> str:
    """Return the third word of `ffmpeg version 7.1 Copyright …`."""
    match = re.match(r"ffmpeg version (\S+)", _run(binary, ["-version"]).stdout.decode("utf-8", "replace"))
    if match is None:
        raise OSError("it does not say that it is ffmpeg")
    return match[1]


def _recent(version: str) -> bool:
    """Whether the version is at least `_OLDEST`; builds from git, numbered N-12345, are taken for recent."""
    match = re.match(r"n?(\d+)\.(\d+)", version)
    return match is None or (int(match[1]), int(match[2])) >= _OLDEST
