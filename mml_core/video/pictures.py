"""How decoded pictures are made and handed over: the filters that they go through, and what ffmpeg writes of them.

The filters are names and options, so that ffmpeg's command line and a filter graph of libavfilter say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mml_core.video.shapes import Box
from mml_core.video.sources import VideoError
from mml_core.video.yuv import Planes

#: Name and options of a filter.
Filter = tuple[str, Mapping[str, str]]
#: Largest ratio of the sides; keeps the stacked planes of a difference below JPEG's 65,500 pixels.
MOST_ASPECT = 8
_SCALING = "bicubic+accurate_rnd+full_chroma_int+bitexact"

Picture = TypeVar("Picture")


class Output(NamedTuple, Generic[Picture]):
    """A form of pictures: options of the scaler, the pixels, ffmpeg's output options, and who reads what it writes."""

    scaling: Mapping[str, str]
    pixels: str
    options: Mapping[str, Any]
    read: Callable[[IO[bytes], int], Iterator[Picture]]  # of a stream, with the longest side that there may be

    def filters(self, least_px: int, most_px: int, *, square: bool, box: Box | None) -> list[Filter]:
        """Return the filters to pictures whose shorter side is from `least_px` to `most_px`, of upright ones.

        square: both sides are `most_px`.
        box: given, they are of this part of the picture.
        """
        cut: list[Filter] = []
        if box is not None:
            left, top, width, height = map(str, box)
            cut = [("crop", {"w": width, "h": height, "x": left, "y": top, "exact": "1"})]
        size = {"w": str(most_px), "h": str(most_px)} if square else _size(least_px, most_px)
        return [
            *cut,
            ("scale", {**size, "flags": _SCALING, **self.scaling}),
            ("format", {"pix_fmts": self.pixels}),
        ]


def _size(least_px: int, most_px: int) -> dict[str, str]:
    """Return the width and height of scaled pictures, as expressions of ffmpeg; a shorter side from least to most."""
    upright = "lte(iw*sar,ih)"  # after rotation; sar is 1 where the file does not say
    side = str(most_px) if least_px == most_px else f"clip(round(min(iw*sar,ih)),{least_px},{most_px})"
    return {
        "w": f"if({upright},{side},round({side}*iw*sar/ih))",
        "h": f"if({upright},round({side}*ih/(iw*sar)),{side})",
    }


def _ppm_images(stream: IO[bytes], most_side_px: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the PPM images (H, W, 3) of `stream`; an image cut off at the end is dropped."""
    while stream.readline() == b"P6\n":
        width, height = map(int, stream.readline().split())
        _check_sides(height, width, most_side_px)
        stream.readline()  # largest value, always 255
        image = np.empty((height, width, 3), np.uint8)
        if stream.readinto(image.data.cast("B")) < image.size:
            return
        yield image


def _y4m_images(stream: IO[bytes], most_side_px: int) -> Iterator[Planes]:
    """Yield the pictures of a YUV4MPEG2 `stream` with colours of half the size; one cut off at the end is dropped."""
    words = stream.readline().split()
    if words[:1] != [b"YUV4MPEG2"]:
        return
    width, height = (int(next(word[1:] for word in words if word[:1] == side)) for side in (b"W", b"H"))
    _check_sides(height, width, most_side_px)
    half = (-(-height // 2), -(-width // 2))
    while stream.readline().startswith(b"FRAME"):
        planes = [np.empty(size, np.uint8) for size in ((height, width), half, half)]
        if any(stream.readinto(plane.data.cast("B")) < plane.size for plane in planes):
            return
        yield Planes(*planes, width)


def _check_sides(height: int, width: int, most_side_px: int) -> None:
    if max(width, height) > most_side_px:
        raise VideoError(f"sides differ by more than a factor of {MOST_ASPECT}")


#: RGB, uint8 (H, W, 3). Scaled as planes, which swscale does in a third of the time of packed pixels, to the same
#: values.
RGB = Output({}, "gbrp", {"format": "image2pipe", "vcodec": "ppm", "pix_fmt": "rgb24"}, _ppm_images)
#: Planes in limited range, by the matrix of the source: versions of swscale round differences of range differently, so
#: that what follows is ours (`mml_core.video.yuv`).
YUV = Output({"out_range": "limited"}, "yuv420p", {"format": "yuv4mpegpipe", "pix_fmt": "yuv420p"}, _y4m_images)
