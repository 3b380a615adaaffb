"""The shapes that a video's codec states on the way, where ffmpeg shows all frames in that of the first."""

from __future__ import annotations

import sys
from pathlib import Path

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.video import key_frames
from mml_core.video.child import SIGNALS_OF_OTHERS, child_process
from mml_core.video.shapes import Shape, pixel_aspect, same_shape
from mml_core.video.sources import CONTAINERS, MOST_CODED_PIXELS, VideoError

#: Containers that are made to be joined or received from anywhere on, and codecs of television and tape: the only ones
#: in which the aspect of pixels is known to change on the way. For others a second look at each video is not worth it.
CONTAINERS_THAT_CHANGE = ("mpegts", "mpeg", "mpegvideo", "dv")
CODECS_THAT_CHANGE = ("mpeg1video", "mpeg2video", "dvvideo")
_ALL_PACKETS = sys.maxsize


def may_change(container: str, codec: str) -> bool:
    """Return whether the aspect of pixels may change on the way, by ffmpeg's names of container and codec."""
    return container in CONTAINERS_THAT_CHANGE or codec in CODECS_THAT_CHANGE


def check_coded_shapes(path: Path, limits: Limits, most_packets: int | None) -> None:
    """Raise VideoError where the codec's shape of the picture changes within the first packets (default: all).

    Key frames are decoded in a process of its own, with the limits of time and memory of decoding.
    """
    program = [sys.executable, "-P", key_frames.__file__, str(path.absolute()), CONTAINERS, str(MOST_CODED_PIXELS)]
    program.append(str(most_packets or _ALL_PACKETS))
    limit_sec, memory_bytes = limits.decode_timeout_sec, limits.decode_memory_bytes
    with child_process(program, limit_sec, lambda line: None, memory_bytes=memory_bytes) as child:
        found = [_shape(line) for line in child.stdout]
        status = child.wait()
    if child.timed_out:
        raise VideoError(f"timed out: no shapes of its pictures within {limit_sec:g} s")
    if -status in SIGNALS_OF_OTHERS:
        raise InputError("its decoder was killed", file=path, hint="run the same command again")
    if status != 0:
        raise VideoError(f"the shapes of its pictures cannot be read (status {status})")
    if not all(same_shape(found[0], shape) for shape in found):
        raise VideoError("the shape of the picture changes")


def _shape(line: bytes) -> Shape:
    width, height, above, below = map(int, line.split())
    return Shape(width, height, pixel_aspect(above, below))
