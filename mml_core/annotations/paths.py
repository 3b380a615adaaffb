"""Paths from annotations: kept inside the data folder, and looked up with one directory scan a folder."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from mml_core.annotations.problems import Kind, Problems
from mml_core.annotations.types import Annotations, Row, Video
from mml_core.io.spelling import Spellings, told

Item = TypeVar("Item")


class UnsafePathError(ValueError):
    """A path that could leave the data folder, or that no file can have."""


def plain_path(text: str) -> str:
    """Return the relative POSIX path `text` without `.` and doubled slashes.

    Raises UnsafePathError where it is empty, absolute, holds `..` or a NUL character, or is no valid Unicode.
    """
    if not text:
        raise UnsafePathError("the path is empty")
    if "\0" in text:
        raise UnsafePathError(f"{text!r} holds a NUL character")
    if text.startswith("/"):
        raise UnsafePathError(f"{text!r} is absolute")
    if ".." in text and ".." in text.split("/"):
        raise UnsafePathError(f"{text!r} holds '..'")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise UnsafePathError(f"{text!r} is not valid Unicode") from None
    return posixpath.normpath(text)


def check_files(
    root: Path, rows: Iterable[Row], problems: Problems, *, folders: bool = False, follow_links: bool = False
) -> None:
    """Add to `problems` each row whose path below `root` is no file, or leads out of `root` through a link.

    The latter not where `follow_links` allows it.

    And each whose file is that of a row in another split, through a link to it or another name of the same file.

    folders: whether the videos are folders of frames, not files; what is in them is left to the decoder.
    """
    wanted, kind = ("folder", "folder") if folders else ("file", "regular file")
    real_root = os.path.realpath(root)
    spellings = Spellings(root)
    first: dict[tuple[int, int], Row] = {}
    for folder, members in _by_folder(rows, lambda row: row.path):
        inside = follow_links or _is_below(os.path.realpath(root / folder), real_root)
        entries = _scan(root / folder) if inside else {}
        for name, row in members:
            entry = entries.get(name)
            is_link = entry is not None and entry.is_symlink() and not follow_links
            if not inside or (entry and is_link and not _is_below(os.path.realpath(entry.path), real_root)):
                problems.add(Kind.OUTSIDE, row.place, f"{row.path!r} is reached through a link that leaves {root}")
            elif entry is None:
                problems.add(
                    Kind.MISSING,
                    row.place,
                    f"no {wanted} {row.path!r} in {root}{told(row.path, spellings.find(row.path))}",
                )
            elif not (entry.is_dir() if folders else entry.is_file()):
                problems.add(Kind.MISSING, row.place, f"{row.path!r} in {root} is no {kind}")
            else:
                _check_linked(entry, row, first, problems)


def _check_linked(entry: os.DirEntry[str], row: Row, first: dict[tuple[int, int], Row], problems: Problems) -> None:
    """Add `row` to `problems` where one of another split has its file; `first` has the first row of each file."""
    file = entry.stat()
    other = first.setdefault((file.st_dev, file.st_ino), row)
    if other.split != row.split:
        both = f"{row.split} here, {other.split} there"
        problems.add(Kind.LINKED, row.place, f"{row.path!r} ({both}) is the file {other.path!r}, at {other.place}")


def video_sizes(annotations: Annotations, videos: Sequence[Video] | None = None) -> dict[str, int]:
    """Return the size in bytes of `videos`, by default of all, by id; 0 where one is missing. Scans each folder once.

    That of a folder of frames is the number of its entries: the bytes of millions of frames would take too long.
    """
    asked = annotations.videos if videos is None else videos
    if annotations.frame_folders:
        return {video.video_id: len(_scan(annotations.root / video.path)) for video in asked}
    sizes = {}
    for folder, members in _by_folder(asked, lambda video: video.path):
        entries = _scan(annotations.root / folder)
        sizes.update({video.video_id: _size(entries.get(name)) for name, video in members})
    return sizes


def _by_folder(items: Iterable[Item], path_of: Callable[[Item], str]) -> Iterable[tuple[str, list[tuple[str, Item]]]]:
    folders: dict[str, list[tuple[str, Item]]] = {}
    for item in items:
        folder, _, name = path_of(item).rpartition("/")
        folders.setdefault(folder, []).append((name, item))
    return folders.items()


def _scan(folder: Path) -> dict[str, os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry for entry in entries}
    except OSError:
        return {}


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _size(entry: os.DirEntry[str] | None) -> int:
    try:
        return entry.stat().st_size if entry else 0
    except OSError:
        return 0
