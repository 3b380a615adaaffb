"""Where the levels of a frame, and the tiles of a level, lie in memory: tables that the kernels read."""

from __future__ import annotations

from typing import NamedTuple

import torch

from mml_core.flow.triton.control import ALIGNMENT, ENTRY
from mml_core.flow.triton.strips import STRIP_PX


class Level(NamedTuple):
    """Size of a level, in pixels, and its tiles; they depend on nothing else, so that sums are always the same."""

    height: int
    width: int
    pitch: int  # from a row to the next
    strips: int
    tiles: int
    rows: int  # of a tile


def make_level(height: int, width: int, block: int, tile_rows: int) -> Level:
    """Return the tiles for blocks of `block` iterations, none higher than `tile_rows`."""
    pitch = -(-width // ALIGNMENT.value) * ALIGNMENT.value
    strips = 1 + max(0, -(-(width - STRIP_PX.value) // (STRIP_PX.value - 2 * block)))
    pieces = -(-height // tile_rows)
    return Level(height, width, pitch, strips, strips * pieces, -(-height // pieces))


def level_table(levels: list[Level]) -> torch.Tensor:
    """Return the table of levels that mml_core.flow.triton.control describes, int32 (levels, ENTRY)."""
    table = torch.zeros((len(levels), ENTRY.value), dtype=torch.int32)
    pixels = samples = 0
    for index, level in enumerate(levels):
        pitch = level.pitch // ALIGNMENT.value
        entry = [level.height, level.width, pitch, level.strips, level.tiles, level.rows, pixels, samples]
        table[index] = torch.tensor(entry)
        pixels += level.height * level.pitch
        samples += level.height + level.width
    return table


def sample_tables(levels: list[Level], *, corners: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where each column, then each row, of each level lies in the level that is coarser by one.

    Index of the left or upper neighbour, int32, and the share of the right or lower one, float32; the level that is
    the coarsest has zeros. corners: as in primitives.resize_corners, else as in primitives.resize.
    """
    lefts, shares = [], []
    for fine, coarse in zip(levels, [*levels[1:], levels[-1]], strict=True):
        for out, length in ((fine.width, coarse.width), (fine.height, coarse.height)):
            spacing = length / out
            if corners:
                position = (torch.arange(out, dtype=torch.float32) * spacing).clamp(max=length - 1)
            else:
                position = (torch.arange(out, dtype=torch.float64) + 0.5) * spacing - 0.5
            left = position.floor().clamp(0, length - 1)
            lefts.append(left.int())
            shares.append((position - left).clamp(0, 1).float())
    return torch.cat(lefts), torch.cat(shares)
