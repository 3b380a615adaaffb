"""Files of flow fields: Middlebury's .flo, one field each, and HDF5, all fields of a video.

.flo (Baker et al. 2011), little-endian: the float32 202021.25, width and height as int32, then the rows of the field
from top to bottom, each pixel as float32 x and y.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.errors import InputError
from mml_core.io.files import replaced_on_success

_MAGIC = 202021.25
_HEADER = struct.Struct("<fii")
#: Middlebury's own program refuses longer sides.
_MOST_SIDE_PX = 99_999


class WriteFields(Protocol):
    """Takes the next fields of a video."""

    def __call__(self, frames: NDArray[np.uint8], flow: torch.Tensor) -> None:
        """Write `flow`, float32 (N, 2, H, W) on the CPU, from the `frames` (N, H, W, 3), uint8 RGB, to the next."""
        ...


def write_flo(path: Path, field: NDArray[np.float32]) -> None:
    """Write `field`, float32 (2, H, W), x then y, in pixels."""
    height, width = field.shape[1:]
    with path.open("wb") as file:
        file.write(_HEADER.pack(_MAGIC, width, height))
        file.write(np.ascontiguousarray(field.transpose(1, 2, 0), dtype="<f4").data)


def read_flo(path: Path) -> NDArray[np.float32]:
    """Return the field, float32 (2, H, W), x then y, in pixels, that a .flo file holds.

    Raises InputError where it is missing, no .flo file, or not of the length that its header states.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                raise InputError("ends within its header, expected a .flo file", file=path)
            magic, width, height = _HEADER.unpack(header)
            if magic != _MAGIC:
                raise InputError(f"expected a .flo file, which starts with {_MAGIC}, got {magic:g}", file=path)
            if not (1 <= width <= _MOST_SIDE_PX and 1 <= height <= _MOST_SIDE_PX):
                raise InputError(f"expected sides of 1 to {_MOST_SIDE_PX} pixels, got {width} x {height}", file=path)
            expected, actual = _HEADER.size + 8 * width * height, path.stat().st_size
            if actual != expected:  # before any memory is taken for what a forged header states
                raise InputError(f"expected {expected} bytes for {width} x {height} pixels, got {actual}", file=path)
            pixels = np.fromfile(file, "<f4", 2 * width * height)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    return np.ascontiguousarray(pixels.reshape(height, width, 2).transpose(2, 0, 1), dtype=np.float32)


@contextmanager
def flo_folder(path: Path) -> Iterator[WriteFields]:
    """Yield what writes fields to the new folder `path` as 000000.flo, 000001.flo, …; complete or not there.

    Raises InputError where the folder exists and holds something: nothing of other make is mixed in or removed.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError("exists and is not an empty folder", file=path, hint="remove it, or name another folder")
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    temporary.mkdir(parents=True)
    count = 0

    def write(frames: NDArray[np.uint8], flow: torch.Tensor) -> None:
        nonlocal count
        for field in flow.numpy():
            write_flo(temporary / f"{count:06d}.flo", field)
            count += 1

    try:
        yield write
        temporary.replace(path)
    finally:
        if temporary.exists():
            for file in temporary.iterdir():
                file.unlink()
            temporary.rmdir()


@contextmanager
def hdf5_fields(path: Path, about: Mapping[str, str | float | int]) -> Iterator[WriteFields]:
    """Yield what writes fields to the dataset `flow` (T - 1, 2, H, W), float32, of an HDF5 file.

    about: attributes of the dataset. A chunk is a field, compressed without loss by filters that HDF5 always has.
    """
    with replaced_on_success(path) as temporary, h5py.File(temporary, "w") as file:

        def write(frames: NDArray[np.uint8], flow: torch.Tensor) -> None:
            shape = tuple(flow.shape[1:])
            if "flow" not in file:
                chunks = {"shape": (0, *shape), "maxshape": (None, *shape), "chunks": (1, *shape)}
                filters = {"shuffle": True, "compression": "gzip", "compression_opts": 1}
                file.create_dataset("flow", dtype="<f4", track_times=False, **chunks, **filters)
                file["flow"].attrs.update(about)
            fields = file["flow"]
            first = len(fields)
            fields.resize(first + len(flow), axis=0)
            fields[first:] = flow.numpy()

        yield write
