"""Colour maps: how networks, and people, see levels of depth."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from mml_core.config.depth import Colours


@functools.cache
def colour_table(colours: Colours) -> Tensor:
    """Return red, green and blue, uint8 (256, 3), of each level.

    jet: MATLAB's, x = level / 255 going from dark blue over cyan, yellow and red to dark red: red is
    clamp(3/2 - |4 x - 3|), green clamp(3/2 - |4 x - 2|) and blue clamp(3/2 - |4 x - 1|), in 0 to 1. OpenCV's
    COLORMAP_JET is the same within its rounding. grey: the level in all three.

    Level 0, no reading, has the colour of level 0: that of the nearest distance, to which it is next.
    """
    levels = torch.arange(256)
    if colours == "grey":
        return levels[:, None].expand(-1, 3).to(torch.uint8)
    away = (4 * levels[:, None] / 255 - torch.tensor([3, 2, 1])).abs()
    return (255 * (1.5 - away).clamp(0, 1)).round().to(torch.uint8)


def coloured(levels: Tensor, colours: Colours) -> Tensor:
    """Return uint8 `levels` (..., C, H, W) as colours, uint8 (..., 3 C, H, W): R1 G1 B1 R2 …; on the same device."""
    seen = _on_device(colours, levels.device)[levels.to(torch.int64)]
    return seen.movedim(-1, -3).flatten(-4, -3).contiguous()


@functools.cache
def _on_device(colours: Colours, device: torch.device) -> Tensor:
    """Return the table on `device`, to which it is copied once."""
    return colour_table(colours).to(device)
