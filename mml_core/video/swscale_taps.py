"""Which pixels of an axis FFmpeg's scaler makes a scaled pixel of, and with which weights: asked of the scaler itself.

A line of one level with single brighter pixels is scaled to 16 bits, which show each weight to its last bit. So the
weights are those of the version at hand, whatever its rules.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray

#: Sum of the weights of a pixel, of rows and of columns (1 << 14 of lines, 1 << 12 between them, as swscale has them).
ALONG, BETWEEN = 1 << 14, 1 << 12
#: Of the lines that are scaled: the level, and that of single pixels. In 16 bits a weight w of 2^14 shows as w.
_LEVEL, _BRIGHTER = 64, 128
#: Sides of a probe that are not scaled.
_BREADTH = 16
#: Pixels that a weight reaches to either side, of the coarser grid; and some more, of the finer.
_REACH, _MORE = 2, 6


class Taps(NamedTuple):
    """Pixel i is the sum over j of weights[i, j] · pixel[first[i] + j], of `length` pixels."""

    first: NDArray[np.int64]  # (side,)
    weights: NDArray[np.int64]  # (side, K), K even; their sum is ALONG or BETWEEN
    length: int


@functools.lru_cache(maxsize=256)
def taps(length: int, side: int, options: tuple[tuple[str, str], ...], *, vertical: bool) -> tuple[Taps, Taps]:
    """Return the taps of luma and of colours, of yuv420p with a side of `length` pixels that is scaled to `side`.

    options: of the filter `scale`, without the size.
    vertical: of columns.
    Raises ValueError where what the scaler does is no such sum.
    """
    lengths, sides = (length, -(-length // 2)), (side, -(-side // 2))
    if length == side:  # no pixel is weighed, and some pairs of formats have ways of their own
        return tuple(_same(one, vertical) for one in lengths)
    spacing = int(2 * _REACH * max(1, length / side)) + _MORE
    answers = _answers(length, side, options, spacing, vertical)
    return tuple(_taps(*of, spacing, vertical) for of in zip(answers, lengths, sides, strict=True))


def _same(length: int, vertical: bool) -> Taps:
    weights = np.zeros((length, 2), np.int64)
    weights[:, 0] = BETWEEN if vertical else ALONG
    first = np.arange(length)
    first[-1] -= 1  # so that both places are pixels
    weights[-1] = weights[-1, ::-1]
    return Taps(first, weights, length)


def _answers(
    length: int, side: int, options: tuple[tuple[str, str], ...], spacing: int, vertical: bool
) -> tuple[NDArray[np.int64], ...]:
    """Return what luma and colours answer to lines whose pixels i, i + spacing, … are brighter: (side, spacing)."""
    sizes = (_BREADTH, length, _BREADTH, side) if vertical else (length, _BREADTH, side, _BREADTH)
    graph = Graph()
    graph.threads = 1
    source = graph.add("buffer", video_size="{}x{}".format(*sizes), pix_fmt="yuv420p", time_base="1/1")
    scale = graph.add("scale", w=str(sizes[2]), h=str(sizes[3]), **dict(options))
    sink = graph.add("buffersink")
    graph.link_nodes(source, scale, graph.add("format", pix_fmts="yuv420p16le"), sink).configure()
    answers: tuple[list[NDArray[np.int64]], ...] = ([], [])
    for first in range(spacing):
        probe = VideoFrame(sizes[0], sizes[1], "yuv420p")
        for plane in probe.planes:
            lines = np.full((plane.height, plane.line_size), _LEVEL, np.uint8)
            (lines.T if not vertical else lines)[first::spacing] = _BRIGHTER
            plane.update(lines)
        source.push(probe)
        scaled = sink.pull()
        for answer, plane in zip(answers, scaled.planes, strict=False):
            lines = np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, : plane.width]
            line = lines[:, plane.width // 2] if vertical else lines[plane.height // 2]
            answer.append(line.astype(np.int64) - (_LEVEL << 8))
    return tuple(np.stack(answer, axis=1) for answer in answers)


def _taps(answers: NDArray[np.int64], length: int, side: int, spacing: int, vertical: bool) -> Taps:
    """Return the taps of an axis: the weights of a pixel lie around its place."""
    centre = (np.arange(side) + 0.5) * (length / side) - 0.5
    begin = np.floor(centre - spacing / 2 + 0.5).astype(np.int64)
    places = begin[:, None] + np.arange(spacing)
    weights = np.take_along_axis(answers, places % spacing, axis=1)
    weighed = weights != 0
    low, high = weighed.argmax(axis=1), spacing - weighed[:, ::-1].argmax(axis=1)
    count = int((high - low).max())
    count += count % 2
    first = np.minimum(begin + low, length - count)
    within = first[:, None] + np.arange(count) - begin[:, None]
    known = (within >= 0) & (within < spacing)
    kept = np.where(known, np.take_along_axis(weights, within.clip(0, spacing - 1), axis=1), 0)
    if vertical:
        kept, fractions = np.divmod(kept, ALONG // BETWEEN)
        sound = not fractions.any()
    else:
        sound = True
    inside = (begin + low >= 0).all() and (begin + high <= length).all() and first.min() >= 0
    if not (sound and inside and (kept.sum(axis=1) == (BETWEEN if vertical else ALONG)).all()):
        raise ValueError(f"{length} pixels are scaled to {side} otherwise than by weighing")
    return Taps(first, kept, length)
