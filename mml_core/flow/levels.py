"""Sizes of the image pyramid."""

from __future__ import annotations

#: OpenCV stops the pyramid at the first level with a side below this many pixels.
SMALLEST_SIDE_PX = 16


def level_sizes(height: int, width: int, scales: int, scale_step: float) -> list[tuple[int, int]]:
    """Return (height, width) of each level, finest first: each side is the finer one's times `scale_step`, rounded.

    Halves are rounded to even (OpenCV's cvRound); fewer than `scales` where a level would get below 16 pixels a side.
    Raises ValueError where the frames themselves are smaller.
    """
    if min(height, width) < SMALLEST_SIDE_PX:
        raise ValueError(f"expected frames of at least 16 x 16 pixels, got {width} x {height}")
    sizes = [(height, width)]
    while len(sizes) < scales:
        height, width = round(height * scale_step), round(width * scale_step)
        if min(height, width) < SMALLEST_SIDE_PX:
            break
        sizes.append((height, width))
    return sizes
