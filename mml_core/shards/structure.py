"""Whether an HDF5 file is built as a shard is: what a writer here never makes is refused before anything is read.

HDF5 can do much more than shards need: links to other files, data in other files, arrays that claim terabytes and are
made up on reading, compressed bombs. A shard is plain: every table is one row of bytes within the file itself.
"""

from __future__ import annotations

import h5py
import numpy as np

from mml_core.shards.schema import NOTES, VIDEO_COLUMNS

#: Tables with their types; "str" is fixed-length UTF-8.
TABLES = {
    "payload": "uint8",
    "offsets": "int64",
    "crc32": "uint32",
    **{f"videos/{name}": kind for name, kind in VIDEO_COLUMNS.items()},
    "quarantine/id": "str",
    "quarantine/reason": "str",
}
NOTE_TABLES = {f"{NOTES}/id": "str", f"{NOTES}/reason": "str"}
GROUPS = ("videos", "quarantine")
#: No side of an image is longer: the limit of JPEG.
MOST_PX = 65_535


def check_structure(file: h5py.File) -> None:
    """Raise ValueError where `file` has tables that are missing, elsewhere, of other types or larger than stored."""
    noted = NOTES in file
    for name in (*GROUPS, NOTES) if noted else GROUPS:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Group):
            raise ValueError(f"{name!r} is no group of this file")
    for name, kind in {**TABLES, **NOTE_TABLES}.items() if noted else TABLES.items():
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} is missing, or a link to somewhere else")
        table = file[name]
        if not isinstance(table, h5py.Dataset):
            raise ValueError(f"{name!r} is no table")
        _check_table(table, name, kind)


def _check_table(table: h5py.Dataset, name: str, kind: str) -> None:
    if kind == "str":
        text = h5py.check_string_dtype(table.dtype)
        right = text is not None and text.length is not None
    else:
        right = table.dtype == np.dtype(kind)
    if not right or table.ndim != 1:
        raise ValueError(f"{name!r} is {table.ndim}-dimensional {table.dtype}, expected one row of {kind}")
    properties = table.id.get_create_plist()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise ValueError(f"{name!r} is not stored as one piece within the file")
    # a table of which nothing is stored reads as zeros of any size that it claims
    if table.id.get_storage_size() != table.size * table.dtype.itemsize:
        raise ValueError(f"{name!r} claims {table.size} entries, which are not stored")


def check_entries(first: np.ndarray, count: np.ndarray, offsets: np.ndarray, sides: np.ndarray) -> None:
    """Raise ValueError where the videos are not one behind the other, or images or their sides make no sense.

    Args:
        first, count: (V,) number of each video's first image, and of its images.
        offsets: (M + 1,) where each of the M images begins, and the last ends, in bytes.
        sides: heights and widths of the videos in pixels, of any shape.
    """
    ends = np.cumsum(count)
    if (
        (count < 1).any()
        or not np.array_equal(first, ends - count)
        or (ends[-1] if len(ends) else 0) != len(offsets) - 1
    ):
        raise ValueError("the videos are not one behind the other")
    if offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise ValueError("the images are not one behind the other")
    if sides.size and not 1 <= sides.min() <= sides.max() <= MOST_PX:
        raise ValueError(f"sides from {sides.min()} to {sides.max()} pixels")
