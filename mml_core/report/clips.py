"""Sample clips as strips of pictures: frames, flow as colours, differences around grey. Pure functions.

T pictures, H and W pixels. Stored levels are uint8 (T, C, H, W), as `ModalityStore.read` returns them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.colors import hsv_to_rgb
from torch.nn.functional import interpolate

from mml_core.modalities.quantise import levels_to_difference, levels_to_flow

#: Displacements in pixels that are drawn in full colour at least: less is noise, which should not look like motion.
LEAST_FULL_COLOUR_PX = 1.0
GREY = 128


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


def flow_pictures(levels: np.ndarray, bound_px: float) -> FlowPictures:
    """Return flow (T, 2, H, W), stored with `bound_px`, as colours on one scale for the whole strip.

    The scale ends at the 99th percentile of the displacements, at LEAST_FULL_COLOUR_PX at least.
    """
    flow = levels_to_flow(levels, bound_px)  # (T, 2, H, W) in pixels
    full = max(float(np.quantile(np.hypot(flow[:, 0], flow[:, 1]), 0.99)), LEAST_FULL_COLOUR_PX)
    return FlowPictures(flow_colours(flow[:, 0] / full, flow[:, 1] / full), full)


def flow_colours(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return colours (..., 3) uint8 of displacements x, y (...): white is none, length 1 and more is in full colour.

    Direction is the hue, length the saturation, after Baker et al., A Database and Evaluation Methodology for Optical
    Flow (IJCV 2011).
    Convention: y points down and hues are evenly spaced (right red, down yellow-green, left cyan, up violet), while
    Baker et al. use a wheel of 55 colours, denser where the eye tells hues apart better.
    """
    hue = np.arctan2(y, x) / (2 * np.pi) % 1.0
    saturation = np.clip(np.hypot(x, y), 0, 1)
    return np.rint(255 * hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], axis=-1))).astype(np.uint8)


def colour_wheel(side: int) -> np.ndarray:
    """Return the key to the colours, (side, side, 3) uint8: the colour of the displacement from the centre."""
    steps = (np.arange(side) + 0.5) * 2 / side - 1
    x, y = np.meshgrid(steps, steps)
    wheel = flow_colours(x, y)
    wheel[np.hypot(x, y) > 1] = 255
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
