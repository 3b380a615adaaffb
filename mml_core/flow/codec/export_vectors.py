"""Program: the motion vectors of a video's frames on standard output. `mml_core.flow.codec.motion_vectors` runs it.

It decodes in this process, which damage in a video may crash or hang, so it is a process of its own, which ends with
its parent and after a time. It is run by its file and imports little but PyAV and NumPy, since it starts once a video.

Output: a line of JSON with the frames' height and width and the matrix (a, b, c, d) that turns them upright, then for
each frame but the first, in the order of presentation, float32 (2, ceil(height / CELL_PX), ceil(width / CELL_PX)).
What is wrong with the video is the last line on standard error, with status 1.
"""

from __future__ import annotations

import json
import math
import resource
import sys
from collections.abc import Iterator
from itertools import repeat

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from mml_core.runtime.compute import end_with_parent

#: Blocks are kept as cells of so many pixels a side, of which all codecs' blocks are made.
CELL_PX = 4
_BIDIRECTIONAL = (PictureType.B, PictureType.BI)

Cells = NDArray[np.float32]


class NoVectorsError(ValueError):
    """The video holds no motion vectors, or its frames have no one size."""


def frames_of(path: str, containers: str, most_pixels: str) -> Iterator[VideoFrame]:
    """Yield the frames of the first video stream that is no cover picture, with their motion vectors."""
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": containers,
        "max_pixels": most_pixels,
        "threads": "1",
        "flags2": "+export_mvs",
        # nobody looks at the pixels
        "skip_idct": "all",
        "skip_loop_filter": "all",
    }
    with av.open(f"file:{path}", options=options) as container:
        streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
        if not streams:
            raise NoVectorsError("no video stream")
        streams[0].codec_context.options = options
        yield from container.decode(streams[0])


def cells_of(frame: VideoFrame) -> Cells | None:
    """Return where each cell of `frame` came from, as displacement until now in pixels; None where all are intra.

    Of blocks that overlap the smaller one counts, of equal ones the last. Vectors that point to later frames are left
    out.
    """
    data = frame.side_data.get(Type.MOTION_VECTORS)
    if data is None:
        return None
    vectors = data.to_ndarray()
    vectors = vectors[vectors["source"] < 0]
    cells = np.zeros((2, -(-frame.height // CELL_PX), -(-frame.width // CELL_PX)), np.float32)
    sizes = set(zip(vectors["w"].tolist(), vectors["h"].tolist(), strict=True))
    for width, height in sorted(sizes, key=lambda size: (size[0] * size[1], size), reverse=True):
        blocks = vectors[(vectors["w"] == width) & (vectors["h"] == height)]
        rows = _covered(blocks["dst_y"], height)  # (blocks, cells of a block's height)
        columns = _covered(blocks["dst_x"], width)
        rows_inside = (rows >= 0) & (rows < cells.shape[1])
        columns_inside = (columns >= 0) & (columns < cells.shape[2])
        block, row, column = np.nonzero(rows_inside[:, :, None] & columns_inside[:, None])
        for channel, name in enumerate(("motion_x", "motion_y")):
            moved = -blocks[name] / blocks["motion_scale"].astype(np.float32)
            cells[channel, rows[block, row], columns[block, column]] = moved[block]
    return cells


def _covered(centres: NDArray[np.int16], size: int) -> NDArray[np.int64]:
    """Return the numbers of the cells, along one side, that blocks of `size` pixels around `centres` cover."""
    return (centres.astype(np.int64)[:, None] - size // 2) // CELL_PX + np.arange(max(1, size // CELL_PX))


def upright(frame: VideoFrame) -> list[float]:
    """Return (a, b, c, d): what is at (x, y) is to be shown at (a x + c y, b x + d y), but for a shift."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return [1.0, 0.0, 0.0, 1.0]
    matrix = np.frombuffer(data, np.int32) / (1 << 16)
    return [float(matrix[index]) for index in (0, 1, 3, 4)]


def spread(frames: Iterator[VideoFrame], most_pairs: float) -> Iterator[bytes]:
    """Yield the header line and the cells of the first pairs of neighbouring frames (see the module).

    A frame whose vectors point to the frame n places before it gives its n pairs the n-th part of them each.
    Raises NoVectorsError, after the last, where no frame has any.
    """
    first, found, waiting, left = None, False, 0, most_pairs
    for frame in frames:
        if first is None:
            first = frame
            shape = (2, -(-frame.height // CELL_PX), -(-frame.width // CELL_PX))
            header = {"height": frame.height, "width": frame.width, "upright": upright(frame)}
            yield (json.dumps(header) + "\n").encode()
            continue
        if (frame.height, frame.width) != (first.height, first.width):
            raise NoVectorsError("the shape of the picture changes")
        waiting += 1
        if frame.pict_type in _BIDIRECTIONAL:
            continue
        cells = cells_of(frame)
        found |= cells is not None
        pair = np.zeros(shape, np.float32) if cells is None else cells / np.float32(waiting)
        yield from repeat(pair.tobytes(), int(min(waiting, left)))
        left -= min(waiting, left)
        waiting = 0
        if not left:
            break
    if not found:
        raise NoVectorsError("its codec hands out no motion vectors, or no frame is predicted from one before it")
    yield from repeat(np.zeros(shape, np.float32).tobytes(), int(min(waiting, left)))


def limit_time(seconds: float) -> None:
    """Let the kernel end this process after so many `seconds` of computing, whatever becomes of the parent."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = math.ceil(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def main() -> int:
    """Write the vectors of the video that the command line names: path, containers, largest frame, pairs, seconds."""
    end_with_parent()
    *video, most_pairs, seconds = sys.argv[1:]
    limit_time(float(seconds))
    av.logging.set_level(None)
    try:
        for chunk in spread(frames_of(*video), float(most_pairs)):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except (NoVectorsError, av.FFmpegError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
