"""The user's cache folder: what takes long to make and can be made again at any time."""

from __future__ import annotations

import functools
import os
import stat
from pathlib import Path


@functools.cache
def private_folder(name: str) -> Path | None:
    """Return `mml/NAME` in $XDG_CACHE_HOME, or in ~/.cache, which is made where it is missing.

    None where it cannot be made or written to, and where others than this user can write to it: what it holds is
    trusted.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "mml", name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except (OSError, RuntimeError):  # no home, or none to write to
        return None
    others = stat.S_IWGRP | stat.S_IWOTH
    return folder if found.st_uid == os.getuid() and not found.st_mode & others and os.access(folder, os.W_OK) else None
