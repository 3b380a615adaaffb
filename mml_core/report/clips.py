"""Sample clips as strips of pictures: frames, flow and depth as colours, differences around grey. Pure functions.

Sound is drawn as a wave. T pictures, H and W pixels. Stored levels are uint8 (T, C, H, W), as `ModalityStore.read`
returns them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import interpolate

from mml_core.clips.colours import coloured
from mml_core.flow.picture import flow_colours, usual_largest_px
from mml_core.modalities.depth_levels import NO_READING
from mml_core.modalities.quantise import levels_to_difference, levels_to_flow

GREY = 128
#: Level of grey that sound is drawn in.
WAVE = 64


class FlowPictures(NamedTuple):
    """Flow as colours, and the displacement in pixels that is drawn in full colour."""

    pictures: np.ndarray  # (T, H, W, 3) uint8
    full_colour_px: float


def rgb_pictures(levels: np.ndarray) -> np.ndarray:
    """Return frames (T, 3, H, W) as pictures (T, H, W, 3)."""
    return levels.transpose(0, 2, 3, 1)


def diff_pictures(levels: np.ndarray) -> np.ndarray:
    """Return differences (T, 3, H, W) as pictures (T, H, W, 3): grey where nothing changed, clipped at ±127."""
    centred = levels_to_difference(levels).astype(np.int16) + GREY
    return np.clip(centred, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def depth_pictures(levels: np.ndarray) -> np.ndarray:
    """Return levels of depth (T, 1, H, W) as pictures (T, H, W, 3) by the jet colour map, no reading in black."""
    pictures = coloured(torch.from_numpy(levels), "jet").permute(0, 2, 3, 1).numpy()
    pictures[levels[:, 0] == NO_READING] = 0
    return pictures


def flow_pictures(levels: np.ndarray, bound_px: float) -> FlowPictures:
    """Return flow (T, 2, H, W), stored with `bound_px`, as colours on one scale for the whole strip.

    The scale ends at the 99th percentile of the displacements, at 1 pixel at least: less is noise, which should not
    look like motion.
    """
    flow = torch.from_numpy(levels_to_flow(levels, bound_px))  # (T, 2, H, W) in pixels
    full = usual_largest_px(flow)
    return FlowPictures(flow_colours(flow, full).permute(0, 2, 3, 1).numpy(), full)


def wave_pictures(windows: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return windows of sound (T, W), int16, as pictures (T, height, width, 3): dark from the least to the most sample.

    Each column has its part of the samples, at least one; the loudest sample of all reaches the edge, and silence is a
    line in the middle.
    """
    edges = np.arange(width) * windows.shape[1] // width
    parts = windows.astype(np.int64)
    least, most = np.minimum.reduceat(parts, edges, axis=1), np.maximum.reduceat(parts, edges, axis=1)
    loudest = max(1, int(np.abs(parts).max()))
    rows = (np.arange(height) * 2 + 1 - height)[
        None, :, None
    ] * loudest  # from the middle, in 1 / height of the loudest
    low, high = (one[:, None] * height for one in (least, most))
    drawn = (-rows >= low - loudest) & (-rows <= high + loudest)
    return np.where(drawn[..., None], WAVE, 255).astype(np.uint8) * np.ones(3, np.uint8)


def colour_wheel(side: int) -> np.ndarray:
    """Return the key to the colours, (side, side, 3) uint8: the colour of the displacement from the centre."""
    steps = (torch.arange(side) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    wheel = flow_colours(torch.stack([x, y])[None], 1.0)[0].permute(1, 2, 0).numpy()
    wheel[torch.hypot(x, y).numpy() > 1] = 255
    return wheel


def strip(pictures: np.ndarray, height: int, gap: int = 2) -> np.ndarray:
    """Return pictures (T, H, W, 3) uint8 side by side, scaled to `height`, `gap` white pixels between them."""
    planes = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))  # (T, 3, H, W)
    width = max(1, round(pictures.shape[2] * height / pictures.shape[1]))
    scaled = interpolate(planes.float(), (height, width), mode="bilinear", antialias=True)
    small = scaled.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    row = np.full((height, len(small) * (width + gap) - gap, 3), 255, np.uint8)
    for index, picture in enumerate(small):
        row[:, index * (width + gap) : index * (width + gap) + width] = picture
    return row
