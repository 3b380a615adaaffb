"""The shape of a picture as it is shown, whatever its size, and parts of pictures."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """The size of a picture in pixels, and a pixel's width by its height."""

    width: int
    height: int
    pixel_aspect: float = 1.0


class Box(NamedTuple):
    """A part of a picture, in whole pixels."""

    left: int
    top: int
    width: int
    height: int


def pixel_aspect(above: int, below: int) -> float:
    """Return `above` / `below`; 1 where one of them is not above 0, by which codecs and containers say nothing."""
    return above / below if above > 0 and below > 0 else 1.0


def same_shape(one: Shape, other: Shape) -> bool:
    """Return whether two sizes can be those of one picture; sides of the smaller are rounded by less than a pixel.

    Encoders that reduce the size on the way round to even sides: 480 x 270 becomes 240 x 136.
    """
    large, small = (one, other) if one.height >= other.height else (other, one)
    width = large.width * large.pixel_aspect / small.pixel_aspect  # in pixels of the smaller one's shape
    # the scales at which a side of the larger becomes the one of the smaller
    least = max((small.width - 1) / width, (small.height - 1) / large.height)
    most = min((small.width + 1) / width, (small.height + 1) / large.height)
    return least < most
