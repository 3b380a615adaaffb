"""Maps of depth from untrusted files: folders of PNGs, and videos. What is wrong with them is a VideoError."""

from __future__ import annotations

import io
import re
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mml_core.config.dataset import Limits
from mml_core.io.files import disk_faults_told
from mml_core.modalities.beside import files_in_order
from mml_core.modalities.depth_levels import RawMap
from mml_core.modalities.png_pixels import fault_of_pixels
from mml_core.video.decode import DecodedVideo
from mml_core.video.sources import MOST_CODED_PIXELS, VideoError

#: What a PNG begins with: its signature, and the length and name of its first chunk; then sizes, and how it is coded.
_BEGINNING = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
_ABOUT = struct.Struct(">IIBBBBB")
_GREY = 0
#: Bytes of a PNG beside its pixels: chunks of text, of colour profiles, and the frames of chunks.
_MOST_BESIDE = 1 << 20
#: The last run of digits is a map's number.
_NUMBERED = re.compile(r"(.*?)([0-9]+)([^0-9]*\.png)", re.DOTALL)
#: Levels by which colours of a grey video may differ where its codec rounds.
_MOST_COLOUR = 16
#: ffmpeg's formats whose pixels do not have 8 bits a channel end in the order of their bytes.
_MORE_BITS = re.compile(r"(le|be)$")
#: Videos are decoded in their own size up to this shorter side.
_MOST_SIDE_PX = 4320


class _Header(NamedTuple):
    """What a PNG says of itself."""

    width: int
    height: int
    bits: int

    @property
    def words(self) -> str:
        """It in words."""
        return f"{self.width} x {self.height} pixels of {self.bits} bits"

    @property
    def most_bytes(self) -> int:
        """The length of a file beyond which it holds more than this map: not even compressed."""
        return 2 * self.height * (1 + self.width * self.bits // 8) + _MOST_BESIDE


def folder_maps(folder: Path, limits: Limits) -> Iterator[RawMap]:
    """Yield the maps (H, W), uint8 or uint16, of the PNGs in `folder` in the order of their numbers.

    Raises VideoError where there are none, one is missing, is no regular file (a link may lead anywhere), cannot be
    read, is not of one channel of 8 or 16 bits, or has another size or number of bits than the first, and where they
    are more, or take longer, than videos may by `limits`. Sizes are looked at before memory is taken. Raises InputError
    where the file system refuses.
    """
    end = time.monotonic() + limits.decode_timeout_sec
    first = None
    for path in numbered_pngs(folder, limits.max_frames):
        if time.monotonic() > end:
            raise VideoError(f"timed out: not decoded within {limits.decode_timeout_sec:g} s")
        with disk_faults_told(path), path.open("rb") as file:
            header = _header(file.read(len(_BEGINNING) + _ABOUT.size), path.name)
            first = first or header
            if header != first:
                raise VideoError(f"{path.name} has {header.words}, and the first map {first.words}")
            file.seek(0)
            data = file.read(header.most_bytes + 1)
        if len(data) > header.most_bytes:
            raise VideoError(f"{path.name} is longer than a map of {header.words} can be")
        yield _decoded(data, header, path.name)


def numbered_pngs(folder: Path, most: int) -> list[Path]:
    """Return the PNGs in `folder`, `most` of them, in the order of their numbers; errors as `folder_maps` has them."""
    files = files_in_order(folder, ".png", most)
    if not files:
        raise VideoError("the folder holds no PNGs")
    begin = _name_parts(files[0].name)
    for number, file in enumerate(files, int(begin[1])):
        head, _, tail = _name_parts(file.name)
        if (head, tail) != (begin[0], begin[2]):
            raise VideoError(f"names of maps differ in more than their number: {files[0].name}, {file.name}")
        expected = f"{head}{number:0{len(begin[1])}d}{tail}"
        if file.name != expected:
            raise VideoError(f"{expected} is missing, and there are later ones")
    return files


def _name_parts(name: str) -> tuple[str, str, str]:
    """Return what is before a map's number, the number, and what is behind it."""
    match = _NUMBERED.fullmatch(name)
    if match is None:
        raise VideoError(f"{name} has no number")
    return match[1], match[2], match[3]


def _header(data: bytes, name: str) -> _Header:
    if not data.startswith(_BEGINNING) or len(data) < len(_BEGINNING) + _ABOUT.size:
        raise VideoError(f"{name} is no PNG")
    width, height, bits, colours, *_ = _ABOUT.unpack_from(data, len(_BEGINNING))
    if colours != _GREY or bits not in (8, 16):
        raise VideoError(f"{name} is not of one channel of 8 or 16 bits")
    if not 0 < width * height <= MOST_CODED_PIXELS:
        raise VideoError(f"{name} has {width} x {height} pixels")
    return _Header(width, height, bits)


def _decoded(data: bytes, header: _Header, name: str) -> RawMap:
    try:
        if fault := fault_of_pixels(data):
            raise VideoError(f"{name} cannot be read: {fault}")
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.verify()  # checksums, which are not looked at when pixels are read; it leaves the image useless
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            levels = np.asarray(image)
    # what Pillow raises on damaged files, and zlib within it
    except (OSError, SyntaxError, ValueError, LookupError, EOFError, struct.error, zlib.error) as error:
        raise VideoError(f"{name} cannot be read: {error}") from error
    if levels.shape != (header.height, header.width):
        raise VideoError(f"{name} cannot be read: it holds another size than it states")
    return levels.astype(np.uint8 if header.bits == 8 else np.uint16, copy=False)


class VideoMaps:
    """The maps (H, W), uint8, of the video of depth at `path`, in its own size; may be iterated once.

    Iterating raises VideoError where the video cannot be decoded within `limits`, is not grey, or has more than 8 bits,
    which would be lost; InputError where ffmpeg was killed, which is no fault of the video.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._video = DecodedVideo(path, _MOST_SIDE_PX, limits, least_px=1)

    @property
    def frames_per_sec(self) -> float:
        """The rate that its container states, known from the first map on; NaN where it states none."""
        return self._video.frame_rate

    def __iter__(self) -> Iterator[RawMap]:
        for number, frame in enumerate(self._video):
            if not number and _MORE_BITS.search(self._video.pixel_format):
                raise VideoError(f"its pixels are {self._video.pixel_format}, of more bits than the 8 that are read")
            if int((frame.max(axis=2) - frame.min(axis=2)).max()) > _MOST_COLOUR:
                raise VideoError("its frames are coloured, and not levels of grey")
            yield frame[..., 1]
