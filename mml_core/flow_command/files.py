"""Writing files of flow fields, in the forms that `mml_core.flow.files` describes: .flo, and HDF5."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.errors import InputError
from mml_core.flow.files import FLO_HEADER, FLO_MAGIC
from mml_core.io.files import replaced_on_success


class WriteFields(Protocol):
    """Takes the next fields of a video."""

    def __call__(self, frames: NDArray[np.uint8], flow: torch.Tensor) -> None:
        """Write `flow`, float32 (N, 2, H, W) on the CPU, from the `frames` (N, H, W, 3), uint8 RGB, to the next."""
        ...


def write_flo(path: Path, field: NDArray[np.float32]) -> None:
    """Write `field`, float32 (2, H, W), x then y, in pixels."""
    height, width = field.shape[1:]
    with path.open("wb") as file:
        file.write(FLO_HEADER.pack(FLO_MAGIC, width, height))
        file.write(np.ascontiguousarray(field.transpose(1, 2, 0), dtype="<f4").data)


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
