"""Files that lie beside a video, by a pattern such as `depth/{path}`."""

from __future__ import annotations

import os
from pathlib import Path

from mml_core.io.files import disk_faults_told
from mml_core.video.sources import VideoError


def path_beside(root: Path, pattern: str, video_id: str, video: Path) -> Path:
    """Return what `pattern` names for a video below `root`: `depth/{path}` of `root/a/b.mp4` is `root/depth/a/b`."""
    own = video.relative_to(root).with_suffix("").as_posix()
    # both at once, so that braces in a name stay what they are
    head, *parts = pattern.split("{path}")
    return root / own.join([head.replace("{id}", video_id), *(part.replace("{id}", video_id) for part in parts)])


def check_beside(path: Path, root: Path) -> None:
    """Raise VideoError where `path` is outside of `root`, by its words or through a link, or where nothing is there."""
    with disk_faults_told(path):
        if ".." in path.parts or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            raise VideoError("its files lead out of the folder of videos")
        if not path.exists():
            raise VideoError(f"there is no {path.relative_to(root).as_posix()}")
