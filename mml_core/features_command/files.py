"""Features as files: one of HDF5 for all videos, or one of NumPy's for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mml_core.errors import InputError
from mml_core.inference.features import VideoFeatures
from mml_core.io.files import replaced_on_success
from mml_core.io.hdf5 import VERSION, write_attributes
from mml_core.io.npz import write_npz
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


@contextmanager
def feature_writer(output: Path, about: Mapping[str, str]) -> Iterator[Callable[[VideoFeatures], None]]:
    """Yield what writes the features of one video after the other to `output`; `about` are attributes of HDF5.

    A file of HDF5 is there once all videos are; others each when it is.
    """
    if output.suffix.lower() == HDF5:
        with replaced_on_success(output) as temporary, h5py.File(temporary, "w", libver=VERSION) as file:
            write_attributes(file, about)
            videos = file.create_group("videos")
            yield lambda found: _append(videos, found)
    else:
        yield lambda found: _write(output, found)


def _append(videos: h5py.Group, found: VideoFeatures) -> None:
    """Add the group of a video, called by its number from 0 with six digits."""
    group = videos.create_group(f"{len(videos):06d}")
    error = found.prediction.error
    write_attributes(group, {"path": printable(found.prediction.path)} | ({} if error is None else {"error": error}))
    for name, array in _arrays(found).items():
        group.create_dataset(name, data=array, fletcher32=array.size > 0)


def _write(output: Path, found: VideoFeatures) -> None:
    if found.prediction.windows:
        path = output if output.suffix.lower() == NPZ else output / f"{found.prediction.path.stem}{NPZ}"
        write_npz(path, _arrays(found))


def _arrays(found: VideoFeatures) -> dict[str, np.ndarray]:
    """Return the arrays of a video: times of windows in seconds, and features by member."""
    windows = found.prediction.windows
    return {
        "start_sec": np.array([one.start_sec for one in windows], np.float64),
        "end_sec": np.array([one.end_sec for one in windows], np.float64),
        **{f"features/{name}": features for name, features in found.features.items()},
    }
