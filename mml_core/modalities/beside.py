"""Files beside the videos, of which a modality is made: where they are, and whether in the data set's folder."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

from mml_core.errors import InputError
from mml_core.io.files import disk_fault, disk_faults_told
from mml_core.video.sources import VideoError


def path_beside(root: Path, pattern: str, video_id: str, video: Path) -> Path:
    """Return where what belongs to a video below `root` is: `flow/{path}` of `root/a/b.mp4` is `root/flow/a/b`."""
    own = video.relative_to(root).with_suffix("").as_posix()
    # both at once, so that braces in a name stay what they are
    head, *parts = pattern.split("{path}")
    return root / own.join([head.replace("{id}", video_id), *(part.replace("{id}", video_id) for part in parts)])


def check_within(path: Path, root: Path) -> None:
    """Raise VideoError where `path` is outside of `root`, by its words or through a link, or where nothing is there.

    Raises InputError where the file system refuses to say: no fault of the video.
    """
    with disk_faults_told(path):
        if ".." in path.parts or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            raise VideoError("its files lead out of the folder of videos")
        if not _exists(path):
            raise VideoError(f"there is no {path.relative_to(root).as_posix()}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # a video's name may be so long that no name with more to it can be
            raise
        return False


def files_in_order(folder: Path, ending: str, most: int) -> list[Path]:
    """Return the files in `folder` whose names end in `ending`, `most` of them, in the order of their names.

    Hidden ones do not count: archives made on macOS have one beside each file, which is none.

    Raises VideoError where it is no folder, there are more, names differ in length, so that numbers would not be in
    their order, or one is no regular file (a link may lead anywhere); InputError where the file system refuses.
    """
    if not folder.is_dir():
        raise VideoError(f"expected a folder of {ending} files")
    with disk_faults_told(folder), os.scandir(folder) as entries:
        named = (entry for entry in entries if entry.name.endswith(ending) and not entry.name.startswith("."))
        files = sorted(itertools.islice(named, most + 1), key=lambda entry: entry.name)
    if len(files) > most:
        raise VideoError(f"too long: more than {most} {ending} files")
    if len({len(file.name) for file in files}) > 1:
        raise VideoError(f"names of {ending} files differ in length, so that their order is not known")
    for file in files:
        if not file.is_file(follow_symlinks=False):
            raise VideoError(f"{file.name} is no regular file")
    return [Path(file.path) for file in files]


def as_fault_of_video(error: InputError, path: Path) -> VideoError:
    """Return what is wrong with the file `path` beside a video as a fault of that video.

    Raises `error` where the disk failed: quarantined for that, a video would be missing for good.
    """
    if isinstance(error.__cause__, Exception) and disk_fault(error.__cause__):
        raise error
    return VideoError(f"{Path(error.file or path).name}: {error.message}")
