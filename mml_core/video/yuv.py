"""JPEGs from the planes of a decoder, without a way through RGB.

A JPEG holds what decoders hand out: luma and two planes of colour of half the size, but in full range and by the matrix
of BT.601. Decoded planes come in limited range (16 to 235, or 240), by the matrix that the video states. What is done
here has the same bits on every machine: whole numbers, or single operations in float32.

It is imported by the worker that decodes, which starts often: numpy and simplejpeg are all that it needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

#: Shares of red and blue in luma, of the matrices that videos state and ffmpeg's scaler knows, by ffmpeg's names. All
#: others, and videos that state none, are read as BT.601, as that scaler does.
_SHARES = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
    "bt2020c": (0.2627, 0.0593),
}
_BT601 = (0.299, 0.114)
#: Numbers of those matrices in libavutil (AVColorSpace).
MATRICES = {1: "bt709", 4: "fcc", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c"}
Plane = NDArray[np.uint8]


class Levels(NamedTuple):
    """How levels are stretched: cut to `least` and `most`, they become (factor x level - less) / 256, rounded down.

    They are numbers of numpy's, since making these takes longer than some of what is done with them.
    """

    least: np.uint8
    most: np.uint8
    factor: np.uint16
    less: np.uint16

    @classmethod
    def of(cls, least: int, most: int, factor: int, less: int) -> Levels:
        """Return them, of whole numbers."""
        return cls(np.uint8(least), np.uint8(most), np.uint16(factor), np.uint16(less))


#: From limited to full range: 16 becomes 0, 235 (of colours 240) 255, and no colour stays at 128.
LUMA, COLOUR = Levels.of(16, 235, 298, 16 * 298 - 128), Levels.of(16, 240, 291, 16 * 291 - 304)
AS_THEY_ARE = Levels.of(0, 255, 256, 0)
_EIGHT = np.uint16(8)


class Planes(NamedTuple):
    """A picture: luma (H, W), and blue and red (ceil(H / 2), ceil(W / 2)), uint8 each.

    Lines may be longer, as decoders have them: then `width` is W.
    """

    luma: Plane
    blue: Plane
    red: Plane
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.luma.shape[0], self.width

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return self.luma.nbytes + self.blue.nbytes + self.red.nbytes


def jpeg(planes: Planes, matrix: str, quality: int) -> bytes:
    """Return the colour JPEG of a picture in limited range, of colours of `matrix`.

    That is ffmpeg's name, "" where none is stated.
    """
    return full_range_jpeg(full_range(planes, matrix), quality)


def is_bt601(matrix: str) -> bool:
    """Return whether colours of `matrix` are read as BT.601's, so that their levels are stretched, and no more."""
    return matrix not in _SHARES


def full_range(planes: Planes, matrix: str) -> Planes:
    """Return a picture in limited range, of colours of `matrix`, as JPEGs have it."""
    if not is_bt601(matrix):
        return Planes(*_converted(planes, _SHARES[matrix]), planes.width)
    luma, *colours = (_stretched(*of) for of in zip(planes[:3], (LUMA, COLOUR, COLOUR), strict=True))
    return Planes(luma, *colours, planes.width)


def full_range_jpeg(planes: Planes, quality: int) -> bytes:
    """Return the colour JPEG of a picture in full range, by the matrix of BT.601, whose column W may be overwritten."""
    height, width = planes.size
    half = -(-width // 2)
    luma = _evened(planes.luma, width)[:height, :width]
    return simplejpeg.encode_jpeg_yuv_planes(luma, planes.blue[:, :half], planes.red[:, :half], quality)


def _stretched(plane: Plane, levels: Levels) -> Plane:
    """Return the plane with stretched levels."""
    wide = plane.clip(levels.least, levels.most).astype(np.uint16)
    wide *= levels.factor  # may be beyond 16 bits, which do not hold it; they hold the difference
    wide -= levels.less
    wide >>= _EIGHT
    return wide.astype(np.uint8)


def _converted(planes: Planes, shares: tuple[float, float]) -> tuple[Plane, Plane, Plane]:
    """Return the planes in full range, by the matrix of BT.601 where they were by another one."""
    of_blue, of_red = (np.array(one, np.float32) for one in (_bt601(shares, 1, 0), _bt601(shares, 0, 1)))
    height, width = planes.size
    half = -(-width // 2)
    blue, red = (_scaled(plane[:, :half], 128, 255 / 224) for plane in (planes.blue, planes.red))
    more, new_blue, new_red = (of_blue[i] * blue + of_red[i] * red for i in range(3))
    more = np.stack((more, more), axis=2).reshape(len(more), -1)[:, :width]  # as np.repeat, in half of its time
    luma = _scaled(planes.luma[:, :width], 16, 255 / 219)
    luma[::2] += more
    luma[1::2] += more[: height // 2]
    new_blue += 128
    new_red += 128
    return _levels(luma), _levels(new_blue), _levels(new_red)


def _scaled(plane: Plane, zero: int, factor: float) -> NDArray[np.float32]:
    """Return factor x (level - zero)."""
    values = plane.astype(np.float32)
    values -= zero
    values *= np.float32(factor)
    return values


def _bt601(shares: tuple[float, float], blue: float, red: float) -> tuple[float, float, float]:
    """Return luma, blue and red by BT.601 of a colour without luma, by the matrix with `shares` of red and blue."""
    of_red, of_blue = shares
    r, b = 2 * (1 - of_red) * red, 2 * (1 - of_blue) * blue
    g = -(of_red * r + of_blue * b) / (1 - of_red - of_blue)
    luma = _BT601[0] * r + (1 - sum(_BT601)) * g + _BT601[1] * b
    return luma, (b - luma) / (2 - 2 * _BT601[1]), (r - luma) / (2 - 2 * _BT601[0])


def _levels(values: NDArray[np.float32]) -> Plane:
    """Return the levels nearest to `values`, which are overwritten."""
    np.rint(values, out=values)
    return values.clip(0, 255, out=values).astype(np.uint8)


def _evened(plane: Plane, width: int) -> Plane:
    """Return `plane`, of which `width` columns count, with even sides, its own or a copy.

    An encoder of half colours reads that far, and must not read other memory.
    """
    height, length = plane.shape
    if height % 2 == width % 2 == 0:
        return plane
    if height % 2 == 0 and width < length:
        plane[:, width] = plane[:, width - 1]
        return plane
    even = np.empty((height + height % 2, width + width % 2), np.uint8)
    even[:height, :width] = plane[:, :width]
    even[:height, width:] = plane[:, width - 1 : width]
    even[height:] = even[height - 1]
    return even
