"""Which videos a command line means: files, folders of them, and patterns."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mml_core.config.own_annotations import VIDEO_ENDINGS
from mml_core.errors import InputError

_PATTERN = re.compile(r"[*?[]")
#: The first frame of a video that is a folder of frames.
_FIRST_FRAME = "00001.jpg"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def videos_of(words: Iterable[str], *, frame_folders: bool) -> list[Path]:
    """Return the videos that `words` mean, in their order, each once; those of a folder or pattern sorted by name.

    A word is a file, a folder, for all videos below it (links to folders are not followed), or where there is neither
    of that name, a pattern with *, ? or [...] (** for any folders). frame_folders: a folder that has 00001.jpg is a
    video. A file that is not there is a video all the same, which cannot be used. Raises InputError for an address on
    the internet, and where a folder or pattern has no videos.
    """
    found = [path for word in words for path in _videos(word, frame_folders)]
    return list(dict.fromkeys(found))


def _videos(word: str, frame_folders: bool) -> list[Path]:
    path = Path(word)
    if path.is_dir():
        videos = _below(path, frame_folders)
    elif not path.exists() and _URL.match(word):
        raise InputError("addresses are not read", file=word, hint="download the video, and name the file")
    elif not path.exists() and _PATTERN.search(word):
        matches = (Path(one) for one in sorted(glob.glob(word, recursive=True)))  # noqa: PTH207 - also whole paths
        videos = [video for one in matches for video in (_below(one, frame_folders) if one.is_dir() else [one])]
    else:
        return [path]
    if not videos:
        raise InputError("has no videos", file=word, hint=f"their names end in {', '.join(VIDEO_ENDINGS)}")
    return videos


def _below(folder: Path, frame_folders: bool) -> list[Path]:
    return sorted(_walk(folder, frame_folders))


def _walk(folder: Path, frame_folders: bool) -> Iterator[Path]:
    if frame_folders and (folder / _FIRST_FRAME).is_file():
        yield folder
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, frame_folders)
        elif path.suffix.lower() in VIDEO_ENDINGS and path.is_file():
            yield path
