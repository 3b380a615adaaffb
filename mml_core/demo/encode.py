"""Frames to video files: H.264 in mp4, VP9 in webm, the same bytes each time for the same libraries of ffmpeg.

Where there is sound it is AAC in mp4, Opus in webm. PyAV's encoders are used, not those of the system: they are sure to
be there, and no process is started for each of many small clips.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer

from mml_core.errors import InputError

#: Quality about that of distributed data sets; fast presets, since the clips are small anyway. Without mbtree: with it,
#: the x264 of PyAV's packages gives other bits from time to time (where it uses AVX-512).
_CODECS = {
    ".mp4": ("mp4", "libx264", {"preset": "veryfast", "crf": "20", "mbtree": "0"}),
    ".webm": ("webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "6", "crf": "24", "b": "0"}),
}
_SOUND_CODECS = {".mp4": "aac", ".webm": "libopus"}
#: Bits a second.
_SOUND_RATE = 64_000


class Sound(NamedTuple):
    """Samples of one channel, of which the first belongs to the beginning of the first frame."""

    samples: np.ndarray  #: (N,), int16
    samples_per_sec: int


def encode(
    frames: np.ndarray, frame_rate: Fraction, path: Path, *, rotated: bool = False, sound: Sound | None = None
) -> None:
    """Write `frames` (T, H, W, 3), uint8, RGB, with even H and W, and their sound to `path` (.mp4 or .webm).

    With `rotated` (.mp4 only) they are stored turned by 90 degrees counter-clockwise, with a flag that tells players
    to turn them back. Raises InputError where it cannot be written.
    """
    stored = np.rot90(frames, axes=(1, 2)) if rotated else frames
    container_format, codec, options = _CODECS[path.suffix]
    try:
        # "file:" keeps names with colons from being read as protocols
        with av.open(f"file:{path}", "w", format=container_format, options={"fflags": "+bitexact"}) as container:
            pictures = container.add_stream(codec, rate=frame_rate, options=options)
            pictures.height, pictures.width = stored.shape[1:3]
            pictures.pix_fmt = "yuv420p"
            pictures.codec_context.thread_count = 1
            pictures.codec_context.flags |= Flags.bitexact
            if sound is not None:
                _add_sound(container, _SOUND_CODECS[path.suffix], sound)
            for frame in stored:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode())
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"ffmpeg could not write it: {error}", file=path) from error
    if rotated:
        _set_quarter_turn(path)


def _add_sound(container: OutputContainer, codec: str, sound: Sound) -> None:
    """Add a stream of `sound` to `container`, whose other streams are added already."""
    stream = container.add_stream(codec, rate=sound.samples_per_sec, layout="mono")
    stream.bit_rate = _SOUND_RATE
    stream.codec_context.flags |= Flags.bitexact
    samples = av.AudioFrame.from_ndarray(sound.samples.astype(np.int16)[None], format="s16", layout="mono")
    samples.sample_rate, samples.pts = sound.samples_per_sec, 0
    container.mux(stream.encode(samples))
    container.mux(stream.encode())


def _set_quarter_turn(path: Path) -> None:
    """Set the display matrix of the mp4 file's first track, the pictures, to a clockwise quarter turn.

    Written by hand because ffmpeg's own option for it came with version 6 and its predecessor went.
    """
    content = bytearray(path.read_bytes())
    # ISO/IEC 14496-12, 8.3.2: type, version 0 and flags, 5 fields and 2 reserved ones of 4 bytes, 4 of 2 bytes, matrix.
    matrix = content.index(b"tkhd") + 4 + 4 + 7 * 4 + 4 * 2
    stored_height = struct.unpack_from(">I", content, matrix + 40)[0]
    one, whole = 1 << 16, 1 << 30  # 16.16 and 2.30 fixed point
    struct.pack_into(">9i", content, matrix, 0, one, 0, -one, 0, 0, stored_height, 0, whole)
    path.write_bytes(content)
