"""Decoding sound: the samples of a video's first sound track, cut where its frames begin and end.

ffmpeg mixes the track's channels to one and resamples it so that sample n lies at n / rate seconds by the times that
the file states: what is missing before, between and behind is silence, and where a track's clock runs faster or slower
than its times say, it is stretched by up to 1000 samples a second, and cut or filled up where that is not enough.
Any damage that ffmpeg notices makes the sound fail as a whole, as it does with frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.video.child import SIGNALS_OF_OTHERS, child_process
from mml_core.video.ffmpeg import ffmpeg_binary
from mml_core.video.frame_times import FrameTimes
from mml_core.video.sources import VideoError, video_file
from mml_core.video.track_messages import TrackMessages

Samples = NDArray[np.int16]

_BYTES = 2
_SKIPPED = 1 << 16  # samples at a time
_US = 1_000_000
_HEADER_SEC = 10.0
_MESSAGE_LENGTH = 200
#: How far from where its times say a track's samples may be: half a millisecond before it is stretched, within a tenth
#: of a second; beyond ten, it is cut or filled up at once.
_ALIGNED = {"async": 1000, "min_comp": 0.0005, "min_hard_comp": 0.01, "comp_duration": 0.1, "first_pts": 0}
_OUT_OF_MEMORY = re.compile(r"Cannot allocate memory|Failed to allocate", re.IGNORECASE)


def sample_edges(edges_us: NDArray[np.int64], rate_hz: int, shift_us: int = 0) -> NDArray[np.int64]:
    """Return the number of the first sample at or behind each time, less a half: round((edge - shift) · rate / 1e6).

    Sample n of sound that begins at `shift_us` microseconds lies at shift + n / rate. Neighbouring spans thus have all
    samples between them, each once, however many a span has on average. Exact in integers, halves upwards; the error is
    half a sample, 0.02 ms at 24 kHz.
    """
    return ((edges_us - shift_us) * rate_hz * 2 + _US) // (2 * _US)


def frame_sound(path: Path, times: FrameTimes, rate_hz: int, limits: Limits, most: int) -> Iterator[Samples]:
    """Yield the samples (n_t,), int16, of each frame of the video at `path`, one channel, `rate_hz` a second.

    Memory does not depend on the length of the video. Sound before the first frame and behind the last is left out;
    where the track has not begun or is at its end, there are zeros. Raises VideoError, at the latest when the item
    after the last is asked for, where there is no track or it cannot be decoded within `limits`, and where a frame has
    more than `most` samples; InputError where ffmpeg was killed, which is no fault of the video.
    """
    edges_us = times.edges_us
    if (longest := int(np.diff(edges_us).max())) * rate_hz > most * _US:
        raise VideoError(f"a frame is shown for {longest / _US:.1f} s, at most {most / rate_hz:.1f} s can be kept")
    messages, limit_sec, memory_bytes = TrackMessages(), limits.decode_timeout_sec, limits.decode_memory_bytes
    command = _command(path, rate_hz, max(0, times.end_us) / _US + 1)
    with child_process(command, limit_sec, messages.take, memory_bytes=memory_bytes) as child:
        yield from _items(child.stdout, edges_us, rate_hz, messages)
        while child.stdout.read(1 << 16):
            pass
        status = child.wait()
    if child.timed_out:
        raise VideoError(f"timed out: its sound not decoded within {limit_sec:g} s")
    if -status in SIGNALS_OF_OTHERS or (status > 0 and messages.told_to_end):
        raise InputError("ffmpeg was killed while it decoded sound", file=path, hint="run the same command again")
    if status != 0 or messages.error is not None:
        raise VideoError(_reason(messages.error or f"ffmpeg ended with status {status}", path, limits))


def _items(stream: IO[bytes], edges_us: NDArray[np.int64], rate_hz: int, messages: TrackMessages) -> Iterator[Samples]:
    """Yield the samples of each frame, from a stream of samples that begins at time 0 of the track's own process."""
    ahead = stream.read(_BYTES)  # ffmpeg has said all about the file before it writes a sample
    messages.complete.wait(_HEADER_SEC if ahead else 0)
    edges = sample_edges(edges_us, rate_hz, messages.shift_us)
    reader = _Reader(stream, ahead)
    reader.skip(int(edges[0]))
    for first, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        before = min(max(0, -first), stop - first)  # frames before the track's time 0
        yield np.concatenate([np.zeros(before, np.int16), reader.take(stop - first - before)])


class _Reader:
    """Samples of a stream, followed by any number of zeros."""

    def __init__(self, stream: IO[bytes], ahead: bytes) -> None:
        self._stream, self._ahead = stream, ahead

    def take(self, count: int) -> Samples:
        """Return the next `count` samples."""
        return np.frombuffer(self._read(count * _BYTES).ljust(count * _BYTES, b"\0"), "<i2").astype(np.int16)

    def skip(self, count: int) -> None:
        """Leave out the next `count` samples, none where it is negative."""
        while count > 0 and self._read(_BYTES * min(count, _SKIPPED)):
            count -= _SKIPPED

    def _read(self, size: int) -> bytes:
        """Return the next `size` bytes, or those that are left."""
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        return ahead + self._stream.read(size - len(ahead))


def _command(path: Path, rate_hz: int, end_sec: float) -> list[str]:
    """Return ffmpeg's command line: samples on standard output, messages with their level on standard error."""
    source = video_file(path)
    sound = ffmpeg.input(source.address, protocol_whitelist="file,pipe", threads=1, **source.options)["a:0"]
    sound = sound.filter("aresample", osr=rate_hz, **_ALIGNED)
    samples = sound.filter("aformat", sample_fmts="s16", channel_layouts="mono").output(
        "pipe:1", format="s16le", acodec="pcm_s16le", threads=1, t=f"{end_sec:.6f}"
    )
    quiet = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+verbose")
    return samples.global_args(*quiet, "-xerror", "-filter_complex_threads", "1").compile(cmd=ffmpeg_binary())


def _reason(error: str, path: Path, limits: Limits) -> str:
    """Return a short reason from ffmpeg's first error."""
    if "matches no streams" in error:
        return "no sound track"
    if _OUT_OF_MEMORY.search(error):
        return f"decoding its sound needs more memory than {limits.decode_memory_gib:g} GiB"
    # where this machine keeps its files is nobody's business who reads the table of bad videos
    error = error.replace(f"file:{path.absolute()}: ", "")
    return f"its sound cannot be decoded: {error[:_MESSAGE_LENGTH]}"
