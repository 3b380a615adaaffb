"""JPEGs from planes: levels in full range by BT.601 whatever the video states, and no byte from beside a picture."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from mml_core.video import yuv
from mml_core.video.yuv import Planes, jpeg

#: Shares of red and blue in luma.
SHARES = {"": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593), "smpte240m": (0.212, 0.087)}


def planes_of(colour: tuple[float, float, float], matrix: str, height: int, width: int) -> Planes:
    """Planes in limited range of one colour, red, green and blue from 0 to 255."""
    red, green, blue = (value / 255 for value in colour)
    of_red, of_blue = SHARES[matrix]
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    levels = (16 + 219 * luma, 128 + 112 * (blue - luma) / (1 - of_blue), 128 + 112 * (red - luma) / (1 - of_red))
    half = (-(-height // 2), -(-width // 2))
    sizes = ((height, width), half, half)
    return Planes(*(np.full(size, round(level), np.uint8) for size, level in zip(sizes, levels, strict=True)), width)


def random_planes(height: int, width: int, seed: int = 0) -> Planes:
    rng = np.random.default_rng(seed)
    half = (-(-height // 2), -(-width // 2))
    return Planes(*(rng.integers(0, 256, size, np.uint8) for size in ((height, width), half, half)), width)


def decoded(data: bytes) -> NDArray[np.int64]:
    return simplejpeg.decode_jpeg(data).astype(np.int64)


@pytest.mark.parametrize("matrix", SHARES)
@pytest.mark.parametrize(
    "colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 60, 30), (20, 180, 90), (90, 40, 220)]
)
def test_colours_are_those_of_the_video(matrix: str, colour: tuple[int, int, int]) -> None:
    image = decoded(jpeg(planes_of(colour, matrix, 32, 48), matrix, 100))
    assert np.abs(image - colour).max() <= 3


def test_a_matrix_that_is_not_known_is_read_as_bt601() -> None:
    planes = random_planes(16, 16)
    assert jpeg(planes, "ycgco", 90) == jpeg(planes, "", 90) != jpeg(planes, "bt709", 90)


def test_levels_are_stretched_to_the_nearest() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    luma, blue, _, _ = yuv.full_range(Planes(levels, levels, levels, 256), "")
    assert np.abs(luma - np.clip((levels - 16.0) * 255 / 219, 0, 255)).max() < 0.56
    assert np.abs(blue - np.clip((levels - 128.0) * 255 / 224 + 128, 0, 255)).max() <= 1
    assert luma[0, [0, 16, 235, 255]].tolist() == [0, 0, 255, 255]
    assert blue[0, [128, 240, 255]].tolist() == [128, 255, 255], "grey stays grey"


@pytest.mark.parametrize(
    ("matrix", "crc32"), [("", 0x2926AEE0), ("bt709", 0xADFEF021), ("bt2020nc", 0xCC7A0AF6), ("smpte240m", 0x229C505C)]
)
def test_levels_keep_their_bits(matrix: str, crc32: int) -> None:
    """However they are computed: shards made before and after a change are the same."""
    planes = random_planes(63, 85)
    levels = yuv.full_range(planes, matrix)[:3]
    assert zlib.crc32(b"".join(plane.tobytes() for plane in levels)) == crc32


@pytest.mark.parametrize("matrix", ["", "bt709"])
@pytest.mark.parametrize("size", [(4, 6), (4, 5), (3, 6)])
def test_planes_are_left_as_they_are(size: tuple[int, int], matrix: str) -> None:
    """Decoders still need them."""
    planes = random_planes(*size)
    for plane in planes[:3]:
        plane.setflags(write=False)
    jpeg(planes, matrix, 90)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 200), (3, 3), (33, 31), (65, 96), (64, 97)])
@pytest.mark.parametrize("matrix", ["", "bt709"])
def test_odd_sizes(size: tuple[int, int], matrix: str) -> None:
    """What lies behind the planes, in lines that are longer or in memory, is not in the JPEG."""
    planes = random_planes(*size)
    images = set()
    for seed in range(4):
        wider = []
        for plane in planes[:3]:
            lines = np.random.default_rng(seed).integers(0, 256, (plane.shape[0] + 3, plane.shape[1] + 13), np.uint8)
            lines[: plane.shape[0], : plane.shape[1]] = plane
            wider.append(lines[: plane.shape[0]])
        images.add(jpeg(Planes(*wider, planes.width), matrix, 90))
    assert images == {jpeg(planes, matrix, 90)}
    assert decoded(images.pop()).shape == (*size, 3)
