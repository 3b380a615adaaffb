"""Features that are kept video by video, so that a run which was interrupted goes on with those that are missing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from mml_core.errors import InputError
from mml_core.features_command.files import NPZ, arrays_of, write_hdf5
from mml_core.inference.features import VideoFeatures
from mml_core.io.files import write_text
from mml_core.io.npz import write_npz
from mml_core.predict_command.outputs import printable

#: What a folder of features was begun with.
BEGUN = "features.json"
#: Arrays of a file that say of which video it is, and why there are no more windows.
VIDEO, VIDEO_BYTES, ERROR = "video", "video_bytes", "error"

Arrays = Mapping[str, np.ndarray]


class Kept:
    """Files of features, one a video; each is there once it is whole.

    place: the file for a video. again: whether files that are there are looked at. empty: whether there is one of a
    video without windows, too.
    """

    def __init__(self, place: Callable[[Path], Path], *, again: bool, empty: bool) -> None:
        self._place, self._again, self._empty = place, again, empty

    def has(self, video: Path) -> bool:
        """Return whether all features of `video` are there: of this path, and the file is as it was.

        Those of videos at fault are not: they are tried again, and told again.
        """
        arrays = self.read(video) if self._again else {}
        try:
            state = video.stat()
            later = state.st_mtime > self._place(video).stat().st_mtime
        except OSError:
            return False
        return ERROR not in arrays and not later and _same(arrays, _identity(video, state))

    def read(self, video: Path) -> Arrays:
        """Return the arrays of `video`; none where there is no file of features."""
        try:
            with np.load(self._place(video), allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return {}

    def write(self, found: VideoFeatures) -> None:
        """Keep the features of a video."""
        video, error = found.prediction.path, found.prediction.error
        try:
            state = video.stat()
        except OSError:
            state = None
        if not (found.prediction.windows or self._empty):
            self._place(video).unlink(missing_ok=True)  # of the video as it was
            return
        told = {} if error is None else {ERROR: np.array([error])}
        write_npz(self._place(video), {**arrays_of(found), **_identity(video, state), **told})


@contextmanager
def kept_features(output: Path, begun: Mapping[str, object], videos: list[Path]) -> Iterator[Kept]:
    """Yield what keeps the features of `videos`, so that after the block `output` has them.

    begun: what all features of one output have in common, as JSON has it. A folder is that of the files themselves. A
    file of HDF5 is put together in the end, of files in a folder beside it. Raises InputError where features were begun
    with something else.
    """
    match output.suffix.lower():
        case ".npz":
            yield Kept(lambda video: output, again=False, empty=False)
        case ".h5":
            parts = output.with_name(f"{output.name}.parts")
            _begin(parts, begun)
            kept = Kept(lambda video: parts / f"{_digest(video)}{NPZ}", again=True, empty=True)
            yield kept
            write_hdf5(output, str(begun["bundle"]), ((video, _told(kept.read(video))) for video in videos))
            _remove(parts)
        case _:
            _begin(output, begun)
            yield Kept(lambda video: output / f"{video.stem}{NPZ}", again=True, empty=False)


def _begin(folder: Path, begun: Mapping[str, object]) -> None:
    """Write down what `folder` is begun with; raises InputError where that was something else."""
    path, text = folder / BEGUN, json.dumps(begun, indent=2, ensure_ascii=False) + "\n"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        write_text(path, text)
        return
    except (OSError, ValueError):
        before = None
    if before != json.loads(text):
        windows = isinstance(before, dict) and before == {**begun, "windows": before.get("windows")}
        raise InputError(
            f"has features that were begun with {'other windows' if windows else 'another bundle'}",
            file=folder,
            hint="give the same bundle and windows again, name another output, or delete this one",
        )


def _identity(video: Path, state: os.stat_result | None) -> Arrays:
    """Return what a file of features says of its video."""
    size = -1 if state is None or not video.is_file() else state.st_size
    return {VIDEO: np.array([printable(video)]), VIDEO_BYTES: np.array([size], np.int64)}


def _same(arrays: Arrays, identity: Arrays) -> bool:
    return all(name in arrays and np.array_equal(arrays[name], value) for name, value in identity.items())


def _told(arrays: Arrays) -> tuple[str | None, Arrays]:
    """Return why there are no more windows, and the arrays without what is said of the video."""
    error = str(arrays[ERROR][0]) if ERROR in arrays else None
    return error, {name: array for name, array in arrays.items() if name not in (VIDEO, VIDEO_BYTES, ERROR)}


def _digest(video: Path) -> str:
    return hashlib.sha256(os.fsencode(video)).hexdigest()


def _remove(parts: Path) -> None:
    """Remove what was kept, and the folder if nothing else is in it."""
    for path in [*parts.glob(f"{'?' * 64}{NPZ}"), parts / BEGUN]:
        path.unlink(missing_ok=True)
    with suppress(OSError):
        parts.rmdir()
