"""NumPy's .npz files of plain arrays: nothing in them is pickled, any name is a name, equal arrays are equal bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mml_core.io.files import replaced_on_success


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `arrays` by name to `path`, in one step, as `numpy.load` reads them; raises ValueError for objects."""
    with replaced_on_success(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            # an entry with a fixed time
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
