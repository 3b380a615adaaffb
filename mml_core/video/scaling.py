"""Frames scaled by compiled code, to the bits of FFmpeg's scaler in a third to half of its time, levels included."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from mml_core.video.scaling_code import BACK, PICKED, PIXELS, Field, compiled, is_supported, lines_kept
from mml_core.video.swscale_taps import Taps, taps
from mml_core.video.yuv import Levels, Planes

#: A byte that is picked as zero.
_NONE = 0x80
#: Frames with shorter sides are left to FFmpeg: bytes are picked from so many, of colours of half the size.
_LEAST_PX = 2 * PICKED
#: Scalers that are kept, each with room for a frame or two.
_KEPT = 16


class FrameScaler:
    """Scales frames in yuv420p of one size (H, W) to another; raises ValueError where it cannot.

    options: those of the filter `scale` that it stands for, without the size.
    levels: how those of luma and of colours are stretched.
    """

    def __init__(
        self,
        size: tuple[int, int],
        scaled: tuple[int, int],
        options: Sequence[tuple[str, str]],
        levels: tuple[Levels, Levels],
    ) -> None:
        if not is_supported() or min(*size, *scaled) < _LEAST_PX:
            raise ValueError("for machines with AVX2 and frames that are not tiny")
        columns, rows = (
            taps(length, side, tuple(options), vertical=vertical)
            for vertical, length, side in zip((True, False), size, scaled, strict=True)
        )
        luma, colours = (_Kind(*of) for of in zip(rows, columns, levels, strict=True))
        self._planes = [_Plane(kind) for kind in (luma, colours, colours)]
        self._width = scaled[1]

    def __call__(self, frame: VideoFrame) -> Planes:
        """Return the scaled planes of a frame, which the next call overwrites."""
        for plane, source in zip(self._planes, frame.planes, strict=True):
            plane.scale(source.buffer_ptr, source.line_size)
        return Planes(*(plane.result for plane in self._planes), self._width)


class _Kind:
    """What planes of one kind have in common."""

    def __init__(self, rows: Taps, columns: Taps, levels: Levels) -> None:
        self.height, self.scaled_height = columns.length, len(columns.first)
        if (np.maximum.accumulate(columns.first) - columns.first).max() > BACK:
            raise ValueError("lines are needed that were left behind")
        self.blocks = -(-len(rows.first) // PIXELS)
        picked = _picked(rows, self.blocks)
        self.first = columns.first.astype(np.int32)
        self.factors = np.ascontiguousarray(columns.weights.astype(np.int16))
        self.picked, self.levels = picked, levels
        pairs = picked.weights.shape[2], columns.weights.shape[1] // 2
        self.code = compiled(*pairs, together=picked.starts.shape[2] < pairs[0])


class _Plane:
    """A plane to be scaled: its room, and the table that the code reads."""

    def __init__(self, kind: _Kind) -> None:
        self._kind = kind
        width = kind.blocks * PIXELS
        self._lines = np.empty((lines_kept(kind.factors.shape[1] // 2), width), np.int16)
        self.result = np.empty((kind.scaled_height, width), np.uint8)
        self._table = np.zeros(len(Field), np.int64)
        arrays = {
            Field.STARTS: kind.picked.starts,
            Field.PICKS: kind.picked.picks,
            Field.WEIGHTS: kind.picked.weights,
            Field.FIRST: kind.first,
            Field.FACTORS: kind.factors,
            Field.LINES: self._lines,
            Field.RESULT: self.result,
        }
        for field, array in arrays.items():
            self._table[field] = array.ctypes.data
        self._table[[Field.BLOCKS, Field.HEIGHT, Field.ROWS]] = kind.blocks, kind.height, kind.scaled_height
        self._table[[Field.LEAST, Field.MOST, Field.FACTOR, Field.LESS]] = kind.levels
        self._table_address = self._table.ctypes.data

    def scale(self, address: int, line_bytes: int) -> None:
        """Make `result` of the plane at an address."""
        self._kind.code(address, line_bytes, self._table_address)


class _Picked(NamedTuple):
    """Taps of lines as the code reads them, for blocks of PIXELS, of which four make half a register.

    Registers of sums hold pixels 0 to 3 and 8 to 11, and 4 to 7 and 12 to 15, so that packing them brings the order.
    """

    starts: NDArray[np.int32]  # (blocks, 2, 1 or pairs, 2 halves)
    picks: NDArray[np.uint8]  # (blocks, 2, pairs, 2 halves, PICKED)
    weights: NDArray[np.int16]  # (blocks, 2, pairs, 2 halves, 8)


def _picked(rows: Taps, blocks: int) -> _Picked:
    """Return the taps as the code reads them; raises ValueError where four pixels are made of too many."""
    side, count = rows.weights.shape
    pairs = count // 2
    pixel = np.arange(blocks * PIXELS).reshape(blocks, 2, 2, 4).swapaxes(1, 2)  # (blocks, 2, halves, 4)
    pixel = pixel.clip(0, side - 1)
    first = rows.first[pixel][:, :, None]  # (blocks, 2, 1, halves, 4)
    lowest, highest = first.min(axis=-1), first.max(axis=-1)
    steps = 2 * np.arange(pairs)[:, None]  # of pairs, in pixels
    starts = np.minimum(lowest, rows.length - PICKED)
    if (highest + count - starts).max() > PICKED:
        starts = np.minimum(lowest + steps, rows.length - PICKED)  # each pair's own
    places = first + steps[..., None] - starts[..., None]
    if places.max() + 1 >= PICKED:
        raise ValueError("made so much smaller that four pixels are made of too many")
    picks = np.full((blocks, 2, pairs, 2, 4, 4), _NONE, np.uint8)  # words of two bytes, of which the upper is zero
    picks[..., 0], picks[..., 2] = places, places + 1
    weights = rows.weights.reshape(side, pairs, 2)[pixel]  # (blocks, 2, halves, 4, pairs, 2)
    weights = weights.transpose(0, 1, 4, 2, 3, 5).reshape(blocks, 2, pairs, 2, 8)
    return _Picked(
        np.ascontiguousarray(starts, np.int32),
        picks.reshape(blocks, 2, pairs, 2, PICKED),
        np.ascontiguousarray(weights, np.int16),
    )


@functools.lru_cache(maxsize=_KEPT)
def frame_scaler(
    size: tuple[int, int],
    scaled: tuple[int, int],
    options: tuple[tuple[str, str], ...],
    levels: tuple[Levels, Levels],
) -> FrameScaler | None:
    """Return the `FrameScaler` of these arguments, or None where it cannot scale."""
    try:
        return FrameScaler(size, scaled, options, levels)
    except ValueError:
        return None
