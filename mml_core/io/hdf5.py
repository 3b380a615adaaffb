"""Texts in HDF5 files, stored where a changed bit is noticed.

HDF5 keeps texts of variable length in a heap without a checksum, and its reader loops for ever over some heaps of which
one bit has changed (HDF5 2.0, `H5HG__cache_heap_deserialize`). Texts of fixed length are part of the attributes, which
have a checksum in files of `VERSION`, and of the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

#: For `libver` of a file that is written: all structures have checksums, and the same content gives the same bytes.
VERSION = ("v110", "v110")


def write_attributes(target: h5py.Group, attributes: Mapping[str, str | int | float]) -> None:
    """Write `attributes`, texts as UTF-8 of fixed length, to a file or group; raises ValueError as `write_texts`."""
    for name, value in attributes.items():
        if isinstance(value, str):
            data = _fixed([value])
            target.attrs.create(name, data.reshape(()), dtype=data.dtype)
        else:
            target.attrs[name] = value


def read_attribute(target: h5py.Group, name: str) -> Any:
    """Return an attribute, texts as str.

    Raises KeyError where it is missing, and ValueError, without having read it, where it is of variable length.
    """
    _refuse_variable(target.attrs.get_id(name).dtype, name)
    value = target.attrs[name]
    return value.decode() if isinstance(value, bytes) else value


def write_texts(group: h5py.Group, name: str, texts: Iterable[str]) -> None:
    """Write `texts` as a table, shape (number,), of their longest one's length in UTF-8.

    Raises ValueError for a text with a null character, which ends those that are shorter than the longest one.
    """
    data = _fixed(list(texts))
    group.create_dataset(name, data=data, dtype=data.dtype)


def read_texts(table: h5py.Dataset) -> list[str]:
    """Return a table of texts; raises ValueError, without having read it, where they are of variable length."""
    _refuse_variable(table.dtype, table.name)
    return list(table.asstr()[()])


def _fixed(texts: list[str]) -> np.ndarray:
    if any("\0" in text for text in texts):
        raise ValueError("a text has a null character")
    encoded = [text.encode() for text in texts]
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", max([1, *map(len, encoded)])))


def _refuse_variable(kind: np.dtype, name: str) -> None:
    if kind.hasobject:
        raise ValueError(f"{name!r} is of variable length")
