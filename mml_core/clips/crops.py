"""Where in the picture a clip looks: crops for training and for evaluation, and their resizing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mml_core.pixels.ready import is_ready

#: Crop sizes closer than this to the input's size become the input's size: nothing is gained by resizing them.
SNAP_PX = 3
#: How a protocol crops.
EvaluationCrop = Literal["center", "full", "three", "scaled", "ten"]
#: (down, right) of the 13 crops of TSM's MultiScaleCrop, in quarters of the room that the crop leaves:
#: corners, middles of the edges, centre, and the four points half way between corners and centre.
OFFSETS = tuple((i, j) for i in (0, 2, 4) for j in (0, 2, 4)) + tuple((i, j) for i in (1, 3) for j in (1, 3))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a picture, in pixels; `mml_core.clips.flips.mirror` mirrors what is cut out of a mirrored one."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool = False

    @property
    def part(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def cut(self, levels: Tensor) -> Tensor:
        """Return the box's part of `levels` (..., H, W), as a view."""
        return levels[..., *self.part]


def crop_sizes(short_side: int, crop_px: int, scales: Sequence[float]) -> list[int]:
    """Return the sides that training crops may have: `scales` of the shorter side, snapped to `crop_px` when near."""
    sizes = [max(1, int(short_side * scale)) for scale in scales]
    return [min(crop_px, short_side) if abs(size - crop_px) < SNAP_PX else size for size in sizes]


def draw_crop(height: int, width: int, crop_px: int, scales: Sequence[float], rng: np.random.Generator) -> Box:
    """Draw TSM's multi-scale crop (`MultiScaleCrop`, kept by MML): one for all frames and modalities of a clip.

    Height and width are two of `crop_sizes`, neighbours in `scales` at most; the place is one of `OFFSETS`. All pairs
    and all places are as likely.
    """
    sizes = crop_sizes(min(height, width), crop_px, scales)
    pairs = [(h, w) for i, h in enumerate(sizes) for j, w in enumerate(sizes) if abs(i - j) <= 1]
    crop_height, crop_width = pairs[rng.integers(len(pairs))]
    down, right = OFFSETS[rng.integers(len(OFFSETS))]
    return Box(down * (height - crop_height) // 4, right * (width - crop_width) // 4, crop_height, crop_width)


def draw_random_crop(height: int, width: int, scales: Sequence[float], rng: np.random.Generator) -> Box:
    """Draw a square whose side is uniform between the smallest and the largest of `scales` of the shorter side.

    All places in the picture are as likely. This is SlowFast's scale jitter in the inverse (INV_UNIFORM_SAMPLE), seen
    from the stored picture: there the shorter side is resized to s with 1/s uniform between 1/340 and 1/256, and 224 of
    its pixels are cut out, so that the crop's relative side 224/s is uniform between 224/340 and 224/256.
    """
    short = min(height, width)
    side = min(short, max(1, round(short * rng.uniform(min(scales), max(scales)))))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    return Box(int(top), int(left), side, side)


def draw_corner_crop(height: int, width: int, scales: Sequence[float], rng: np.random.Generator) -> Box:
    """Draw a square in one of the four corners or in the middle, its side one of `scales` of the shorter side.

    All scales and all five places are as likely: `MultiScaleCornerCrop` of the 3D-ResNets, which MARS's code took over
    with the scales 2^0, 2^-1/4, … 2^-1.
    """
    side = max(1, int(min(height, width) * scales[rng.integers(len(scales))]))
    return _corners_and_centre(height, width, side)[rng.integers(5)]


def evaluation_crops(height: int, width: int, crop_px: int, crop: EvaluationCrop) -> list[Box]:
    """Return the squares that `crop` (a protocol's) asks for.

    center: `crop_px` in the middle, or the largest square where the picture is smaller; full, and scaled: the largest
    square in the middle; three: such squares at the start, the middle and the end of the longer side; ten: as center,
    but in the four corners and in the middle, then the same mirrored (TSN's oversampling).
    """
    short = min(height, width)
    match crop:
        case "center":
            return [_square(height, width, min(crop_px, short), 2)]
        case "full" | "scaled":
            return [_square(height, width, short, 2)]
        case "three":
            return [_square(height, width, short, quarters) for quarters in (0, 2, 4)]
        case "ten":
            boxes = _corners_and_centre(height, width, min(crop_px, short))
            return [*boxes, *(replace(box, mirrored=True) for box in boxes)]


def evaluation_side(height: int, width: int, crop_px: int, crop: EvaluationCrop) -> int:
    """Return the side that crops have when they reach a network: the shorter side (full, three) or `crop_px`."""
    return min(height, width) if crop in ("full", "three") else crop_px


def resize(levels: Tensor, side: int, *, mixed: bool = True) -> Tensor:
    """Return 8-bit `levels` (..., H, W), resized to (..., side, side) as `resize_into` does."""
    if levels.shape[-2:] == (side, side):
        return levels
    out = torch.empty(*levels.shape[:-2], side, side, dtype=torch.uint8)
    resize_into(levels.numpy(), out.numpy(), mixed=mixed)
    return out


def resize_into(levels: NDArray[np.uint8], out: NDArray[np.uint8], *, mixed: bool = True) -> None:
    """Resize `levels` (..., H, W) to `out` (..., side, side), contiguous: bilinear, antialiased, in 8 bits.

    mixed: false where neighbouring levels may not be mixed, as those of depth at the edge of something near: each pixel
    then has the level of the one in which its middle lies.

    Levels may be a part of a larger picture, and colours views of (..., H, W, 3), as decoders make them. The bits are
    those of PyTorch, whose own code resizes where compiled code was not loaded (`mml_core.pixels.ready`).
    """
    if mixed and is_ready():
        from mml_core.pixels.planes import can_resize, resize_planes

        if can_resize(levels, out):
            resize_planes(levels, out)
            return
    side = out.shape[-1]
    if levels.shape[-2:] == (side, side):
        out[...] = levels
        return
    copied = torch.from_numpy(levels.copy(order="K"))
    if mixed:
        resized = _bilinear(copied if levels.ndim == 4 else copied[None], side)
    else:
        planes = copied.reshape(1, -1, *levels.shape[-2:])
        resized = interpolate(planes, (side, side), mode="nearest-exact")
    out[...] = resized.reshape(out.shape).numpy()


def _bilinear(levels: Tensor, side: int) -> Tensor:
    """Resize `levels` (N, C, H, W) by PyTorch.

    Its vectorised code for 8 bits takes up to four planes at a time as channels, so they are handed over in groups of
    four rather than as the 10 or 15 channels of a stack. Colours side by side go as they are, in less time.
    """
    planes = levels
    if levels.shape[1] != 3 or levels.stride(1) != 1:
        planes = levels.reshape(-1, 1, *levels.shape[-2:])
        group = next(size for size in (4, 3, 2, 1) if len(planes) % size == 0)
        planes = planes.reshape(-1, group, *levels.shape[-2:])
    return interpolate(planes, (side, side), mode="bilinear", align_corners=False, antialias=True)


def _square(height: int, width: int, side: int, quarters: int) -> Box:
    """Return the square at `quarters`/4 of the longer side's room, in the middle of the shorter side."""
    down, right = (2, quarters) if width >= height else (quarters, 2)
    return Box(down * (height - side) // 4, right * (width - side) // 4, side, side)


def _corners_and_centre(height: int, width: int, side: int) -> list[Box]:
    """Return the five squares of `side` in the corners, row by row, and in the middle."""
    down, right = height - side, width - side
    places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    return [Box(top, left, side, side) for top, left in places]
