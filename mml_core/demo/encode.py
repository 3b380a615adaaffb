"""Frames to video files with ffmpeg: H.264 in mp4, VP9 in webm, the same bytes each time for the same ffmpeg.

Where there is sound it is AAC in mp4, Opus in webm.
"""

from __future__ import annotations

import struct
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import ffmpeg
import imageio_ffmpeg
import numpy as np

from mml_core.errors import InputError

#: Quality about that of distributed data sets; fast presets, since the clips are small anyway.
_CODECS = {
    ".mp4": {"vcodec": "libx264", "preset": "veryfast", "crf": 20},
    ".webm": {"vcodec": "libvpx-vp9", "deadline": "realtime", "cpu-used": 6, "crf": 24, "video_bitrate": 0},
}

_SOUND_CODECS = {".mp4": {"acodec": "aac"}, ".webm": {"acodec": "libopus"}}
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
    to turn them back. The ffmpeg of imageio-ffmpeg is used, not the system's: it is sure to have both encoders.
    Raises InputError where ffmpeg fails.
    """
    stored = np.rot90(frames, axes=(1, 2)) if rotated else frames
    height, width = stored.shape[1:3]
    source = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", framerate=str(frame_rate), threads=1
    )
    bitexact = {"fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": -1, "threads": 1}
    options = {"pix_fmt": "yuv420p", **_CODECS[path.suffix], **bitexact}
    with tempfile.NamedTemporaryFile(suffix=".pcm") as file:
        inputs = [source]
        if sound is not None:
            file.write(sound.samples.astype("<i2").tobytes())
            file.flush()
            inputs.append(ffmpeg.input(file.name, format="s16le", ar=sound.samples_per_sec, ac=1))
            options |= {**_SOUND_CODECS[path.suffix], "audio_bitrate": _SOUND_RATE, "flags:a": "+bitexact"}
        _run(ffmpeg.output(*inputs, str(path), **options), stored, path)
    if rotated:
        _set_quarter_turn(path)


def _run(stream: ffmpeg.nodes.OutputStream, frames: np.ndarray, path: Path) -> None:
    """Give `frames` to ffmpeg, which writes `path`; raises InputError where it fails."""
    content = np.ascontiguousarray(frames).tobytes()
    try:
        stream.overwrite_output().run(cmd=imageio_ffmpeg.get_ffmpeg_exe(), input=content, quiet=True)
    except RuntimeError as error:
        raise InputError(f"no ffmpeg to write it with ({error})", file=path, hint="reinstall imageio-ffmpeg") from error
    except ffmpeg.Error as error:
        message = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InputError(f"ffmpeg could not write it: {' '.join(message)}", file=path) from error


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
