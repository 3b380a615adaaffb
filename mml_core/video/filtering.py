"""Frames of a decoder through filters to planes in full range, by libavfilter, and in part by compiled code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from mml_core.video.yuv import AS_THEY_ARE, COLOUR, LUMA, MATRICES, Planes, full_range, is_bt601

if TYPE_CHECKING:
    from mml_core.video.scaling import FrameScaler

#: Frames of a video, counted from 1, that libavfilter scales in any case, so that compiled code is held against it.
_LOOKED_AT = frozenset(16**i for i in range(8))
#: Pixels of frames that libavfilter scaled, after which compiled code is loaded: until then it would not have paid.
_LEAST_PIXELS = 50_000_000


class Refused(Exception):
    """This way is not for a video."""


class Scalers:
    """Compiled scalers of frames, once so many pixels have been scaled that loading them pays."""

    def __init__(self, least_pixels: int = _LEAST_PIXELS) -> None:
        self._missing_pixels = least_pixels
        self._given_up = False

    def count(self, pixels: int) -> None:
        """Take note of pixels that were scaled without one."""
        self._missing_pixels -= pixels

    def give_up(self) -> None:
        """Have none any more."""
        self._given_up = True

    def scaler(
        self, size: tuple[int, int], scaled: tuple[int, int], options: Mapping[str, str], matrix: str
    ) -> FrameScaler | None:
        """Return the one for frames in yuv420p of a size (H, W), if there is one.

        options: of the filter `scale`. matrix: of the frames' colours; levels are stretched where that is all there is
        to bring them to full range.
        """
        if self._given_up or self._missing_pixels > 0:
            return None
        try:
            from mml_core.video.scaling import frame_scaler
        except (ImportError, OSError, MemoryError):  # it finds no room in the limits of a worker
            self.give_up()
            return None
        levels = (LUMA, COLOUR) if is_bt601(matrix) else (AS_THEY_ARE, AS_THEY_ARE)
        kept = tuple((name, value) for name, value in options.items() if name not in ("w", "h"))
        return frame_scaler(size, scaled, kept, levels)


class FilteredFrames:
    """Takes the frames of a video, all like its first one, through `filters`, and brings them to full range.

    Where filters do no more than scale, compiled code may do so to the same bits. pixel_aspect: as libavfilter has it.
    """

    def __init__(
        self,
        frame: VideoFrame,
        pixel_aspect: str,
        filters: Sequence[tuple[str, Mapping[str, str]]],
        scalers: Scalers,
    ) -> None:
        self._graph = Graph()  # its filters do not keep it
        self._source, self._sink = _ends(self._graph, frame, pixel_aspect, filters)
        self._matrix = MATRICES.get(int(frame.colorspace), "")
        names = [name for name, _ in filters]
        self._may_compile = names == ["scale", "format"] and frame.format.name == "yuv420p"
        self._options = filters[0][1]
        self._scalers, self._count = scalers, 0
        self._scaler: FrameScaler | None = None

    def __call__(self, frame: VideoFrame) -> Planes:
        """Return the planes of the next frame, which those of the one after it may overwrite.

        Raises Refused where what compiled code has made of the frames before may not be what libavfilter makes.
        """
        self._count += 1
        if self._scaler is not None and self._count not in _LOOKED_AT:
            return self._compiled(self._scaler, frame)
        self._source.push(frame)
        planes = full_range(_planes(self._sink.pull()), self._matrix)
        self._scalers.count(frame.width * frame.height)
        if self._may_compile and self._count in _LOOKED_AT:
            self._look(frame, planes)
        return planes

    def _look(self, frame: VideoFrame, planes: Planes) -> None:
        """Have the frames that follow scaled by compiled code if it makes the same `planes` of this one, else none."""
        size = frame.height, frame.width
        scaler = self._scaler or self._scalers.scaler(size, planes.size, self._options, self._matrix)
        if scaler is None:
            return
        if _are_same(planes, self._compiled(scaler, frame)):
            self._scaler = scaler
            return
        if self._scaler is not None:
            self._scalers.give_up()
            raise Refused("compiled code scales otherwise")
        self._may_compile = False  # that a later frame is the same would show nothing: it may be of one level

    def _compiled(self, scaler: FrameScaler, frame: VideoFrame) -> Planes:
        planes = scaler(frame)
        return planes if is_bt601(self._matrix) else full_range(planes, self._matrix)


def _ends(
    graph: Graph, frame: VideoFrame, pixel_aspect: str, filters: Sequence[tuple[str, Mapping[str, str]]]
) -> tuple[FilterContext, FilterContext]:
    """Return the two ends of `graph`, which becomes one of `filters` for frames like this one."""
    graph.threads = 1
    # as `add_buffer` does not: with the aspect of pixels and the colours
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base="1/1000000",
        pixel_aspect=pixel_aspect,
        colorspace=str(int(frame.colorspace)),
        range=str(int(frame.color_range)),
    )
    sink = graph.add("buffersink")
    graph.link_nodes(source, *(graph.add(name, **options) for name, options in filters), sink).configure()
    return source, sink


def _planes(frame: VideoFrame) -> Planes:
    lines = (np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size) for plane in frame.planes)
    return Planes(*lines, frame.width)


def _are_same(first: Planes, second: Planes) -> bool:
    """Return whether the pixels of two pictures are the same, which lie in lines of any length."""
    widths = (first.width, *2 * [-(-first.width // 2)])
    pairs = zip(first[:3], second[:3], widths, strict=True)
    return first.size == second.size and all(np.array_equal(a[:, :width], b[:, :width]) for a, b, width in pairs)
