"""The parts that TV-L1 optical flow is made of, as pure functions on tensors of any device.

Fields are float32 (..., H, W); component 0 of a flow or a gradient is x, positive to the right, component 1 is y,
positive downwards. Sources: Zach, Pock, Bischof, "A duality based approach for realtime TV-L1 optical flow", DAGM
2007; Sánchez, Meinhardt-Llopis, Facciolo, "TV-L1 optical flow estimation", Image Processing On Line 2013 (IPOL).

Convention: OpenCV's numerical choices, which papers leave open: see each function.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F

#: Parameter of the cubic convolution kernel (Keys 1981, his a): OpenCV's on the processor, and on GPUs (Catmull-Rom).
OPENCV_CUBIC = -0.75
CATMULL_ROM_CUBIC = -0.5

#: A step of a sorting network: the lesser of values i and j goes to i, if the third says so, the greater to j, if the
#: fourth does.
Step = tuple[int, int, bool, bool]

_BAND_ROWS = 32


def resize(fields: torch.Tensor, size: tuple[int, int], step: float | None = None) -> torch.Tensor:
    """Return `fields` (..., H, W) bilinearly sampled on a grid of `size` (height, width), edges replicated.

    step: size ratio from which positions are computed (as by cv2.resize with fx and fy); default: the ratio of the
    sizes (as with dsize).

    Convention: pixels are areas, so that the corners of the images coincide, not the centres of their corner pixels;
    equal to the last bit to cv2.resize with INTER_LINEAR, version 5, on processors with fused multiplication and
    addition. PyTorch's interpolate(align_corners=False) places samples alike, but for rounding, and without `step`.
    Where the size stays the same nothing is resampled, whatever `step` is: OpenCV copies.
    """
    if fields.shape[-2:] == size:
        return fields
    for axis in (-1, -2):
        length, out = fields.shape[axis], size[axis]
        spacing = length / out if step is None else 1 / step
        position = (torch.arange(out, dtype=torch.float64) + 0.5) * spacing - 0.5
        # where it shrinks an image, OpenCV takes what is beyond the last centre as 0 parts of the last pixel but one
        # and 1 part of the last; where it enlarges one, as the last pixel: the same but for rounding
        left = position.floor().clamp(0, length - 2 if spacing > 1 else length - 1)
        fields = _mix(fields, left.long(), (position - left).clamp(0, 1), axis)
    return fields


def _mix(fields: torch.Tensor, left: torch.Tensor, share: torch.Tensor, axis: int) -> torch.Tensor:
    """Return a + (b - a) · share, for a and b at `left` and its right or lower neighbour, rounded once."""
    right = (left + 1).clamp(max=fields.shape[axis] - 1)
    first = fields.index_select(axis, left.to(fields.device))
    second = fields.index_select(axis, right.to(fields.device))
    share = share.float().double().to(fields.device)
    return (first.double() + (second - first).double() * (share if axis == -1 else share[:, None])).float()


def resize_corners(fields: torch.Tensor, size: tuple[int, int], step: float | None = None) -> torch.Tensor:
    """Return `fields` sampled as by `resize`, with the centres of both grids' top left pixels at one place.

    Convention: position = index · spacing, in float32, as in OpenCV's CUDA module: pixels are points, but the bottom
    right corners do not coincide (unlike PyTorch's align_corners=True, which spaces samples by (H - 1) / (out - 1)).
    Where the size stays the same nothing is resampled, as in `resize`.
    """
    if fields.shape[-2:] == size:
        return fields
    for axis in (-1, -2):
        length, out = fields.shape[axis], size[axis]
        spacing = length / out if step is None else 1 / step
        position = (torch.arange(out, dtype=torch.float32) * spacing).clamp(max=length - 1)
        left = position.floor()
        fields = _mix(fields, left.long(), position - left, axis)
    return fields


def central_gradient(images: torch.Tensor) -> torch.Tensor:
    """Return half the differences of both neighbours (..., 2, H, W) of `images` (..., H, W), edges replicated."""
    columns = torch.cat([images[..., :1], images, images[..., -1:]], -1)
    rows = torch.cat([images[..., :1, :], images, images[..., -1:, :]], -2)
    return torch.stack([0.5 * (columns[..., 2:] - columns[..., :-2]), 0.5 * (rows[..., 2:, :] - rows[..., :-2, :])], -3)


def forward_gradient(fields: torch.Tensor) -> torch.Tensor:
    """Return the differences (..., 2, H, W) to the right and lower neighbours; 0 in last column and row (IPOL)."""
    gradient = fields.new_empty((*fields.shape[:-2], 2, *fields.shape[-2:]))
    gradient[..., 0, :, -1] = 0
    gradient[..., 1, -1, :] = 0
    torch.sub(fields[..., 1:], fields[..., :-1], out=gradient[..., 0, :, :-1])
    torch.sub(fields[..., 1:, :], fields[..., :-1, :], out=gradient[..., 1, :-1, :])
    return gradient


def divergence(fields: torch.Tensor) -> torch.Tensor:
    """Return the divergence (..., H, W) of `fields` (..., 2, H, W) by backward differences, 0 outside (IPOL).

    Convention: as in OpenCV the last column and row are like any other; there it is minus the adjoint of
    `forward_gradient` only for fields that are 0 in the last column (x) and row (y).
    """
    along_x, along_y = fields[..., 0, :, :], fields[..., 1, :, :]
    result = along_x + along_y
    result[..., 1:] -= along_x[..., :-1]
    result[..., 1:, :] -= along_y[..., :-1, :]
    return result


def warp(images: torch.Tensor, flow: torch.Tensor, cubic: float, *, zero_outside: bool) -> torch.Tensor:
    """Return `images` (P, C, H, W) at the places to which `flow` (P, 2, H, W) leads, by cubic convolution.

    cubic: parameter of the kernel of 4 x 4 taps. Taps outside count as 0 (OpenCV on the processor: as its remap with
    INTER_CUBIC and BORDER_CONSTANT, since version 5), or as the nearest pixel (OpenCV on GPUs).
    PyTorch's grid_sample does the former, but rounds places to some 1e-5 pixels.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    columns = list(_taps(x, width, cubic, zero_outside))
    pixels, result = images.flatten(2), torch.zeros_like(images)
    for row, row_weight in _taps(y, height, cubic, zero_outside):
        line = torch.zeros_like(images)
        for column, weight in columns:
            index = (row * width + column).flatten(1)[:, None]
            line += weight[:, None] * pixels.gather(2, index.expand(-1, images.shape[1], -1)).view_as(images)
        result += row_weight[:, None] * line
    return result


def _taps(
    position: torch.Tensor, length: int, a: float, zero_outside: bool
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield index and weight of the four taps along an axis, by Keys's kernel with the parameter `a`."""
    whole = position.floor()
    t = position - whole
    near = [((a + 2) * s - (a + 3)) * s * s + 1 for s in (t, 1 - t)]
    far = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a
    for offset, weight in zip((-1, 0, 1, 2), (far, *near, 1 - far - near[0] - near[1]), strict=True):
        index = whole + offset
        inside = index.clamp(0, length - 1)
        yield inside.long(), weight * (index == inside) if zero_outside else weight


def median(fields: torch.Tensor, aperture: int) -> torch.Tensor:
    """Return the median of the `aperture` x `aperture` (odd) neighbours of each pixel of `fields` (P, C, H, W).

    Edges are replicated; equal to cv2.medianBlur. It is a network of minima and maxima, for torch.median takes some ten
    times as long; in bands of rows, so that the values in work stay in a processor's cache.
    """
    margin, height = aperture // 2, fields.shape[-2]
    padded = F.pad(fields, (margin, margin, margin, margin), mode="replicate")
    band = height if fields.is_cuda else _BAND_ROWS
    tops = range(0, height, band)
    return torch.cat([_median_inside(padded[..., y : y + band + 2 * margin, :], aperture) for y in tops], -2)


def _median_inside(fields: torch.Tensor, aperture: int) -> torch.Tensor:
    """Return the median around each pixel with all its neighbours, (..., H - aperture + 1, W - aperture + 1)."""
    height, width = fields.shape[-2] - aperture + 1, fields.shape[-1] - aperture + 1
    rows = [fields[..., y : y + height, :] for y in range(aperture)]
    _run(_selection(tuple(_merge_sort(aperture)), frozenset(range(aperture))), rows)  # shared by neighbouring windows
    values = [row[..., x : x + width] for row in rows for x in range(aperture)]
    steps, middle = median_network(aperture)
    _run(steps, values)
    return values[middle]


def _run(steps: Sequence[Step], values: list[torch.Tensor]) -> None:
    for low, high, wants_low, wants_high in steps:
        first, second = values[low], values[high]
        if wants_low:
            values[low] = torch.minimum(first, second)
        if wants_high:
            values[high] = torch.maximum(first, second)


@functools.cache
def median_network(side: int) -> tuple[Sequence[Step], int]:
    """Return a network that finds the median of a square of `side` x `side` values, and where it leaves the median.

    Values are numbered row by row; columns are sorted already, the least on top. Rows are sorted then, which leaves
    columns sorted. What is at row r, column c has (r + 1)(c + 1) - 1 values that are not greater above and to the left,
    (side - r)(side - c) - 1 that are not less: few remain that can be the median, and it is the median of those.
    """
    row = list(_merge_sort(side))
    rows = [(side * r + low, side * r + high) for r in range(side) for low, high in row]
    half = (side * side + 1) // 2
    left = [
        side * r + c
        for r in range(side)
        for c in range(side)
        if max((r + 1) * (c + 1), (side - r) * (side - c)) <= half
    ]
    last = [(left[low], left[high]) for low, high in _merge_sort(len(left))]
    middle = left[len(left) // 2]
    return _selection((*rows, *last), frozenset({middle})), middle


@functools.cache
def _selection(comparisons: Sequence[tuple[int, int]], wanted: frozenset[int]) -> Sequence[Step]:
    """Return the steps among `comparisons` that the values left at the numbers `wanted` depend on."""
    needed, steps = set(wanted), []
    for low, high in reversed(comparisons):
        if low in needed or high in needed:
            steps.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(steps))


def _merge_sort(count: int) -> Iterator[tuple[int, int]]:
    """Yield the comparisons (i, j), i < j, that sort `count` values: Batcher's odd-even merge sort (1968)."""
    merged = 1
    while merged < count:
        distance = merged
        while distance >= 1:
            for start in range(distance % merged, count - distance, 2 * distance):
                for low in range(start, min(start + distance, count - distance)):
                    if low // (2 * merged) == (low + distance) // (2 * merged):
                        yield low, low + distance
            distance //= 2
        merged *= 2
