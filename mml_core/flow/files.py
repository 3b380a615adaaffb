"""Files of flow fields: Middlebury's .flo, one field each, and HDF5, all fields of a video.

.flo (Baker et al. 2011), little-endian: the float32 202021.25, width and height as int32, then the rows of the field
from top to bottom, each pixel as float32 x and y. HDF5: the dataset `flow`, float32 (T - 1, 2, H, W), as `mml flow`
writes it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from mml_core.errors import InputError

FLO_MAGIC = 202021.25
FLO_HEADER = struct.Struct("<fii")
#: Middlebury's own program refuses longer sides.
_MOST_SIDE_PX = 99_999
#: Bytes of a chunk of an HDF5 file, which is read as a whole: more than a field has was not meant as one.
_MOST_CHUNK_BYTES = 1 << 28


def read_flo(path: Path) -> NDArray[np.float32]:
    """Return the field, float32 (2, H, W), x then y, in pixels, that a .flo file holds.

    Raises InputError where it is missing, no .flo file, or not of the length that its header states.
    """
    try:
        with path.open("rb") as file:
            header = file.read(FLO_HEADER.size)
            if len(header) < FLO_HEADER.size:
                raise InputError("ends within its header, expected a .flo file", file=path)
            magic, width, height = FLO_HEADER.unpack(header)
            if magic != FLO_MAGIC:
                raise InputError(f"expected a .flo file, which starts with {FLO_MAGIC}, got {magic:g}", file=path)
            if not (1 <= width <= _MOST_SIDE_PX and 1 <= height <= _MOST_SIDE_PX):
                raise InputError(f"expected sides of 1 to {_MOST_SIDE_PX} pixels, got {width} x {height}", file=path)
            expected, actual = FLO_HEADER.size + 8 * width * height, path.stat().st_size
            if actual != expected:  # before any memory is taken for what a forged header states
                raise InputError(f"expected {expected} bytes for {width} x {height} pixels, got {actual}", file=path)
            pixels = np.fromfile(file, "<f4", 2 * width * height)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    return np.ascontiguousarray(pixels.reshape(height, width, 2).transpose(2, 0, 1), dtype=np.float32)


@contextmanager
def open_fields(path: Path) -> Iterator[h5py.Dataset]:
    """Yield the dataset `flow`, float32 (T - 1, 2, H, W), x then y, in pixels, of an HDF5 file, to read from.

    Raises InputError, naming the file, where it is missing, damaged, holds something else, or refers to other files;
    also where reading from what is yielded finds damage.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield _checked(file)
    except (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise InputError(f"cannot be read as fields of flow ({error})", file=path) from error


def _checked(file: h5py.File) -> h5py.Dataset:
    """Return the dataset `flow` of `file`; raises ValueError where it is not stored in the file as fields are."""
    if not isinstance(file.get("flow", getlink=True), h5py.HardLink) or not isinstance(file["flow"], h5py.Dataset):
        raise ValueError("'flow' is missing, or a link to somewhere else")
    fields = file["flow"]
    if fields.dtype != np.dtype("<f4") or fields.ndim != 4 or fields.shape[1] != 2:
        raise ValueError(f"'flow' is {fields.dtype} of shape {fields.shape}, expected float32 (T - 1, 2, H, W)")
    if fields.is_virtual or fields.external:
        raise ValueError("'flow' is stored in other files")
    if 4 * math.prod(fields.chunks or ()) > _MOST_CHUNK_BYTES:
        raise ValueError(f"'flow' is stored in chunks of shape {fields.chunks}")
    return fields
