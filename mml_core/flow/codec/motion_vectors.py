"""Flow that the video's codec carries: the motion vectors of its predicted frames.

What FFmpeg hands out (AVMotionVector): for a block of a frame, its centre (dst), the displacement to where it was
predicted from (motion / motion_scale, in quarter or half pixels) and whether that is an earlier frame (source < 0) or a
later one. It does not say which earlier frame. MPEG-1, 2 and 4, their relatives and H.264 carry them; for VP8, VP9,
HEVC and AV1 FFmpeg hands out none, so that such videos cannot be used.

Convention, decided here:

- Only frames that are predicted from the past alone (P) count. Their reference is taken to be the nearest I or P frame
  before them, n places back, and each of the n pairs of frames in between gets the n-th part of the vector. That is
  exact for streams without B frames and with one reference frame, and for steady motion with B frames. Encoders that
  look further back (x264 does, with 3 references) give longer vectors for the blocks that they find there.
- The vectors of B frames are left out: which frame they point to depends on an encoder's hierarchy of B frames, direct
  blocks of MPEG-4 are handed out as 0, and MPEG-2 often predicts from later frames only.
- A field lies where its blocks are in the later frame, though flow belongs to the earlier one: vectors of blocks can
  overlap there or leave gaps. Intra blocks, and the pairs that end at an I frame, are 0, and so are those that end at
  the last frame of an MPEG-2 or MPEG-4 video with B frames, with which FFmpeg hands out nothing.
- Blocks are not smoothed. Positions and values are scaled from the coded frame's size to the stored one's, and turned
  as the video's rotation flag says. Cropping at the left and top (H.264), which hardly anyone uses, is left out.
"""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.flow.codec import export_vectors
from mml_core.video.child import SIGNALS_OF_OTHERS, child_process
from mml_core.video.sources import CONTAINERS, MOST_CODED_PIXELS, VideoError, check_file

_MESSAGE_LENGTH = 200


class Coded(NamedTuple):
    """How the frames of a video are stored in it."""

    height: int
    width: int
    upright: tuple[float, float, float, float]  # (a, b, c, d): (x, y) is shown at (a x + c y, b x + d y)


def motion_vectors(
    path: Path, height: int, width: int, limits: Limits, *, end: int | None = None
) -> Generator[NDArray[np.float32]]:
    """Yield the flow (2, height, width) in pixels, x then y, of each pair of neighbouring frames of a video.

    height, width: size of the frames that the flow is to belong to, upright and with square pixels.
    end: given, the frames before this one are all that is looked at; at least two.
    The video is decoded in a process of its own, which is given up after `limits.decode_timeout_sec`, the consumer's
    time included, and may use `limits.decode_memory_gib`. Raises VideoError, while iterating, for all that is wrong
    with the video, at the latest when the field after the last is asked for: whether the codec hands out any vectors is
    known then.
    """
    check_file(path)
    program = [sys.executable, "-P", export_vectors.__file__, str(path.absolute()), CONTAINERS, str(MOST_CODED_PIXELS)]
    program += [str(math.inf if end is None else end - 1), str(limits.decode_timeout_sec)]
    said: deque[str] = deque(["no reason given"], maxlen=1)

    def keep(line: str) -> None:
        if line:
            said.append(line)

    limit_sec, memory_bytes = limits.decode_timeout_sec, limits.decode_memory_bytes
    with child_process(program, limit_sec, keep, memory_bytes=memory_bytes) as child:
        yield from _fields(child.stdout, height, width)
        status = child.wait()
    if child.timed_out:
        raise VideoError(f"timed out: no motion vectors within {limits.decode_timeout_sec:g} s")
    if -status in SIGNALS_OF_OTHERS:
        raise InputError(
            "its decoder was killed",
            file=path,
            hint="run the same command again; where memory ran out, with fewer threads",
        )
    if status != 0:
        reason = said[0] if status == 1 else f"the decoder crashed (status {status})"
        raise VideoError(f"no motion vectors: {reason[:_MESSAGE_LENGTH]}")


def _fields(stream: IO[bytes], height: int, width: int) -> Iterator[NDArray[np.float32]]:
    header = stream.readline()
    if not header.endswith(b"\n"):
        return
    about = json.loads(header)
    coded = Coded(about["height"], about["width"], tuple(about["upright"]))
    cells = np.empty((2, *(-(-side // export_vectors.CELL_PX) for side in coded[:2])), np.float32)
    while stream.readinto(cells.data.cast("B")) == cells.nbytes:
        yield stored_field(cells, coded, height, width)


def stored_field(cells: NDArray[np.float32], coded: Coded, height: int, width: int) -> NDArray[np.float32]:
    """Return the flow (2, height, width) of stored frames from the `cells` (2, rows, columns) of coded ones.

    Each pixel takes the cell that its centre lies in. Raises VideoError where the frames are shown at an angle.
    """
    a, b, c, d = (round(value, 3) for value in coded.upright)
    if (abs(a), abs(b), abs(c), abs(d)) not in ((1, 0, 0, 1), (0, 1, 1, 0)):
        raise VideoError("no motion vectors: it is shown turned by an angle that is no multiple of 90 degrees")
    turned = a == 0
    rows, columns = (width, height) if turned else (height, width)  # stored pixels along the coded frame's sides
    y, x = (_cell_of(count, side) for count, side in ((rows, coded.height), (columns, coded.width)))
    flow_x, flow_y = (
        cells[:, y[:, None], x] * np.array([columns / coded.width, rows / coded.height], np.float32)[:, None, None]
    )
    if turned:
        flow_x, flow_y = flow_y.T, flow_x.T
    sign_x, sign_y = (c, b) if turned else (a, d)
    field = np.stack([sign_x * flow_x, sign_y * flow_y]).astype(np.float32)
    return np.ascontiguousarray(field[:, :: int(sign_y), :: int(sign_x)])


def _cell_of(count: int, side_px: int) -> NDArray[np.int64]:
    """Return which cell each of `count` evenly spaced pixels of a side of `side_px` coded pixels lies in."""
    return ((np.arange(count) + 0.5) * (side_px / count)).astype(np.int64) // export_vectors.CELL_PX
