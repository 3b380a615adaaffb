"""Lasting processes that decode one video after the other to JPEGs: the fast way, for videos that all is well with.

Starting ffmpeg for each video and handing over what it decodes take longer than decoding. A worker (`jpeg_worker`) does
without, and gives no verdict: where anything is amiss with a video, or with the worker, what came of it is dropped, and
the video is decoded by ffmpeg in a process of its own, whose frames are the same and whose verdict counts.

Limits are those of `mml_core.video.child`, and so is what keeps signals of others away. A worker that had trouble with
a video works on no further one, nor does one that grew.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

import simplejpeg

from mml_core.config.dataset import Limits
from mml_core.video import jpeg_worker
from mml_core.video.child import limit_process

#: A worker that has more memory than this behind a video is replaced.
_MOST_RESIDENT_BYTES = 512 << 20
#: After so many videos in a row that it was not for, the fast way is given up: they are all of a kind.
_MOST_UNCLEAN = 16
#: Of a part that a worker sends, in bytes; more means that it is out of its mind.
_MOST_BYTES = 1 << 28
#: Work in all, in limits of one video, after which a worker is replaced: less than its limit of processor time.
_MOST_LIMITS = 4
#: Of OpenBLAS, whose threads would take address space; of glibc, which would hand each frame's memory back, so that the
#: system has to clear it for the next one: frames come from its heap, up to the largest size it allows, and so many
#: bytes stay free at its top.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "MALLOC_TOP_PAD_": str(8 << 20),
}


class Unclean(Exception):
    """The fast way is not for a video; the text says why, for developers."""


class Made(NamedTuple):
    """What a worker tells of a video whose frames it has sent."""

    height: int
    width: int
    frame_rate: tuple[int, int] | None  #: that the container states, as a fraction


class JpegWorkers:
    """Workers for threads that ask at the same time, each started when it is needed; they end with the block.

    given_up: this way is for no video, from the beginning.
    """

    def __init__(self, limits: Limits, *, given_up: bool = False) -> None:
        self._limits = limits
        self._idle: list[_Worker] = []
        self._unclean = _MOST_UNCLEAN if given_up else 0  # in a row; that threads may count wrongly does no harm

    def __enter__(self) -> JpegWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._idle:
            worker.end()

    def jpegs(self, request: Mapping[str, Any]) -> Generator[bytes, None, Made]:
        """Yield the JPEGs of a video's frames; return what is to be told of them.

        request: as `jpeg_worker` takes it. Raises Unclean, at the latest when the frame after the last is asked for.
        """
        if self._unclean >= _MOST_UNCLEAN:
            raise Unclean("this way is given up")
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self._limits)
        try:
            made = yield from worker.jpegs(request)
        except Unclean:
            self._unclean += 1
            raise
        finally:
            if worker.may_go_on:
                self._idle.append(worker)
            else:
                worker.end()
        self._unclean = 0
        return made


class _Worker:
    """A process, and what goes to and fro."""

    def __init__(self, limits: Limits) -> None:
        self._limit_sec, self._busy_sec = limits.decode_timeout_sec, 0.0
        self.may_go_on = True
        self._process = subprocess.Popen(
            [sys.executable, "-P", jpeg_worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=jpeg_worker.BUFFER_BYTES,
            process_group=0,
            env={**os.environ, **_ENVIRONMENT},
        )
        limit_process(self._process.pid, self._limit_sec, limits.decode_memory_bytes)

    def jpegs(self, request: Mapping[str, Any]) -> Generator[bytes, None, Made]:
        self.may_go_on = False
        began = time.monotonic()
        timer = threading.Timer(self._limit_sec, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            ending = yield from self._parts(request)
        finally:
            timer.cancel()
        self._busy_sec += time.monotonic() - began
        grew = ending["resident_bytes"] > _MOST_RESIDENT_BYTES or self._busy_sec > _MOST_LIMITS * self._limit_sec
        self.may_go_on = not grew and not ending.get("trouble")
        if "refused" in ending:
            raise Unclean(str(ending["refused"]))
        rate = ending["rate"]
        return Made(ending["height"], ending["width"], None if rate is None else (int(rate[0]), int(rate[1])))

    def _parts(self, request: Mapping[str, Any]) -> Generator[bytes, None, dict[str, Any]]:
        """Ask, and yield the frames; return the end of the answer."""
        try:
            self._ask(self._process, request)
        except OSError as error:
            raise Unclean("the worker has ended") from error
        size: tuple[int, int] | None = None
        count = 0
        while True:
            letter, length = jpeg_worker.PART.unpack(self._read(jpeg_worker.PART.size))
            part = self._read(length)
            if letter == b"E":
                break
            if letter != b"F":
                raise Unclean("the worker is out of its mind")
            found = _size(part)
            size = size or found
            if found != size:
                raise Unclean("frames of different sizes")
            count += 1
            yield part
        try:
            ending = json.loads(part)
            if "refused" not in ending and (ending["frames"], ending["height"], ending["width"]) != (count, *size):
                raise Unclean("the worker says other than it sent")
            return {"resident_bytes": 0, "rate": None, **ending}
        except (ValueError, KeyError, TypeError) as error:
            raise Unclean("the worker is out of its mind") from error

    @staticmethod
    def _ask(process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
        content = json.dumps(request).encode()
        process.stdin.write(jpeg_worker.LENGTH.pack(len(content)) + content)
        process.stdin.flush()

    def _read(self, count: int) -> bytes:
        if count > _MOST_BYTES:
            raise Unclean("the worker is out of its mind")
        content = self._process.stdout.read(count)
        if len(content) < count:
            raise Unclean("the worker ended, or was given up")
        return content

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with suppress(OSError):  # what was not yet written
            self._process.stdin.close()


def _size(jpeg: bytes) -> tuple[int, int]:
    """Return the height and width that a JPEG states; raises Unclean where it is none."""
    try:
        return simplejpeg.decode_jpeg_header(jpeg)[:2]
    except ValueError as error:
        raise Unclean("what the worker sent is no JPEG") from error


def stated_rate(numerator: int, denominator: int) -> float:
    """Return a rate as ffmpeg states it of a file: to a hundredth, of large ones less; NaN where it has no value."""
    if not numerator or not denominator:
        return float("nan")
    rate = numerator / denominator
    hundredths = round(struct.unpack("f", struct.pack("f", rate * 100))[0])  # as its lrintf
    if hundredths == 0:
        return float(f"{rate:.4f}")
    if hundredths % 100:
        return float(f"{rate:.2f}")
    return float(f"{rate:.0f}") if hundredths % 100_000 else float(f"{rate / 1000:.0f}") * 1000
