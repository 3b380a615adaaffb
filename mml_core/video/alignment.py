"""How an RGB picture and a depth map of another sensor lie on each other, and what both of them show.

Garcia et al. 2018, supplement, section 2: the scale is from the distances between joints, which both pictures have;
with it both skeletons are laid on each other, and the intersection of the pictures is cropped on both. How skeletons
are laid on each other that do not fit exactly is not said: here by the median difference of all well-tracked joints.

Convention: coordinates count from the centre of a picture's first pixel, as those of a Kinect do; edges of boxes are
whole numbers that count from the picture's left and upper edge, half a pixel before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mml_core.config.alignment import LEAST_SCALE, MOST_OFFSET_PX, MOST_SCALE
from mml_core.video.shapes import Box
from mml_core.video.skeletons import FrameJoints
from mml_core.video.sources import VideoError

_TRACKED = 2
#: With fewer pairs of joints no median says much: that many have five joints of one frame.
_LEAST_PAIRS = 10
#: Of longer videos so many frames are looked at, evenly spaced: six bodies have 11,175 pairs of joints a frame.
_MOST_FRAMES = 500
#: Shortest side of what both pictures show, in pixels of either.
_LEAST_SIDE_PX = 16


class Alignment(NamedTuple):
    """A point at x, y in the depth map is at `scale` · (x, y) + `offset_px` in the RGB picture."""

    scale: float
    offset_px: tuple[float, float]


class Boxes(NamedTuple):
    """The same part of the scene in both pictures."""

    rgb: Box
    depth: Box


def align(frames: Sequence[FrameJoints]) -> Alignment:
    """Return how the pictures of a video lie on each other by the well-tracked joints of its `frames`.

    The scale is the mean, over x and y, of the median over all frames and all pairs A, B of joints in one of them, of
    (rgb_A - rgb_B) / (depth_A - depth_B); pairs with the same depth coordinate have no ratio. Raises VideoError where
    fewer than 10 pairs have one, or where scale or offset are none that two sensors have.
    """
    tracked = [joints for joints in map(_well_tracked, frames) if len(joints) > 1]
    used = tracked[:: max(1, math.ceil(len(tracked) / _MOST_FRAMES))]
    with np.errstate(over="ignore", invalid="ignore"):  # of coordinates that no picture has; found out below
        scale = float(np.mean([np.median(_ratios(used, axis)) for axis in (0, 1)]))
        joints = np.concatenate(used)
        x, y = np.median(joints[:, 0] - scale * joints[:, 1], axis=0)
    if not LEAST_SCALE <= scale <= MOST_SCALE:
        raise VideoError(f"the skeletons of both pictures do not fit: one is {scale:.4g} times the other")
    if not max(abs(x), abs(y)) <= MOST_OFFSET_PX:
        raise VideoError(f"the skeletons of both pictures do not fit: they are {x:.4g} and {y:.4g} pixels apart")
    return Alignment(scale, (float(x), float(y)))


def common_boxes(alignment: Alignment, rgb_size: tuple[int, int], depth_size: tuple[int, int]) -> Boxes:
    """Return what an RGB picture and a depth map, sizes (width, height), both show.

    In the picture with the larger pixels the box has the whole pixels that the other picture shows too; in the other
    one its edges are rounded, to half a pixel. Raises VideoError where a side has fewer than 16 pixels.
    """
    x, y = (
        _common(alignment.scale, offset + (1 - alignment.scale) / 2, rgb, depth)
        for offset, rgb, depth in zip(alignment.offset_px, rgb_size, depth_size, strict=True)
    )
    boxes = Boxes(*(Box(left, top, right - left, low - top) for (left, right), (top, low) in zip(x, y, strict=True)))
    if min(boxes.rgb[2:] + boxes.depth[2:]) < _LEAST_SIDE_PX:
        raise VideoError("the pictures of both sensors hardly overlap")
    return boxes


def _well_tracked(frame: FrameJoints) -> NDArray[np.float64]:
    """Return the joints (J, 2, 2) of a frame that are tracked, not inferred: by picture (RGB, depth), and x and y."""
    joints = np.stack([frame.rgb_px, frame.depth_px], axis=1)
    return joints[(frame.state == _TRACKED) & np.isfinite(joints).all(axis=(1, 2))]


def _ratios(frames: Sequence[NDArray[np.float64]], axis: int) -> NDArray[np.float64]:
    """Return the ratios of all pairs in one of `frames`, along x (0) or y (1)."""
    found = [np.empty(0)]
    for joints in frames:
        one, other = np.triu_indices(len(joints), 1)
        rgb, depth = (joints[one, :, axis] - joints[other, :, axis]).T
        found.append(rgb[depth != 0] / depth[depth != 0])
    ratios = np.concatenate(found)
    if len(ratios) < _LEAST_PAIRS:
        raise VideoError(f"{len(ratios)} pairs of well-tracked joints, at least {_LEAST_PAIRS} are needed")
    return ratios


def _common(scale: float, shift: float, rgb_px: int, depth_px: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where, from edge to edge, rows of so many pixels show the same; first that of the RGB picture.

    An edge at u in the depth map is at scale · u + shift in the RGB picture.
    """
    if scale < 1:
        depth, rgb = _common(1 / scale, -shift / scale, depth_px, rgb_px)
        return rgb, depth
    first = max(0, math.ceil(-shift / scale))
    last = min(depth_px, math.floor((rgb_px - shift) / scale))
    if last <= first:
        return (0, 0), (0, 0)
    left, right = (math.floor(scale * edge + shift + 0.5) for edge in (first, last))
    return (left, right), (first, last)
