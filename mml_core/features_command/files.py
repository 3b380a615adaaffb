"""Features as files: one of HDF5 for all videos, or one of NumPy's for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from mml_core.errors import InputError
from mml_core.inference.features import VideoFeatures
from mml_core.io.files import replaced_on_success
from mml_core.io.hdf5 import VERSION, write_attributes
from mml_core.predict_command.outputs import printable

HDF5, NPZ = ".h5", ".npz"


def check_output(output: Path, videos: Sequence[Path]) -> None:
    """Raise InputError where `output` is no name for the features of `videos`."""
    match output.suffix.lower():
        case ".h5":
            return
        case ".npz":
            if len(videos) > 1:
                raise InputError(f"is one file, and there are {len(videos)} videos", file=output, hint="name a folder")
        case _:
            if output.exists() and not output.is_dir():
                raise InputError("is no folder", file=output, hint=f"a file's name ends in {HDF5} or {NPZ}")
            stems = [video.stem for video in videos]
            if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
                raise InputError(
                    f"several videos are called {twice!r}, and would be one file", file=output, hint=f"name a {HDF5}"
                )


def write_hdf5(
    output: Path, bundle: str, videos: Iterable[tuple[Path, tuple[str | None, Mapping[str, np.ndarray]]]]
) -> None:
    """Write a group for each video, called by its number from 0 with six digits; the file is there once it is whole.

    videos: path, why there are no more windows or None, and its arrays by name.
    """
    with replaced_on_success(output) as temporary, h5py.File(temporary, "w", libver=VERSION) as file:
        write_attributes(file, {"format": "mml-features", "bundle": bundle})
        groups = file.create_group("videos")
        for number, (path, (error, arrays)) in enumerate(videos):
            group = groups.create_group(f"{number:06d}")
            write_attributes(group, {"path": printable(path)} | ({} if error is None else {"error": error}))
            for name, array in arrays.items():
                group.create_dataset(name, data=array, fletcher32=array.size > 0)


def arrays_of(found: VideoFeatures) -> dict[str, np.ndarray]:
    """Return the arrays of a video: times of windows in seconds, and features by member."""
    windows = found.prediction.windows
    return {
        "start_sec": np.array([one.start_sec for one in windows], np.float64),
        "end_sec": np.array([one.end_sec for one in windows], np.float64),
        **{f"features/{name}": features for name, features in found.features.items()},
    }
