"""Files beside the videos, of which a modality is made: where they are, and whether in the data set's folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mml_core.io.files import disk_faults_told
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
