"""Annotations as folders: `videos/<split>/<class>/<file>`, or `videos/<class>/<file>` with a share held out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import FolderAnnotations
from mml_core.errors import InputError


def read_folders(config: FolderAnnotations) -> Listing:
    """Return the listing of one folder a class; an id is the path below `videos`.

    Names that start with a dot and files with other endings than `extensions` are left out, the latter counted. Videos
    of the test split may lie directly in its folder: they have no label. Raises InputError where a folder is missing.
    """
    if not config.videos.is_dir():
        raise InputError("is no folder", file=config.videos, hint="set annotations.videos to the folder of the videos")
    listing = Listing(config.videos, config.videos, (), [])
    if config.splits is None:
        classes = _add_split(config, "", "train", listing)
        listing.rows = _hold_out(listing.rows, config.validation_share)
    else:
        classes = set()
        for split, folder in config.splits.items():
            classes |= _add_split(config, _split_folder(config, split, folder), split, listing)
    listing.classes = tuple(sorted(classes))
    return listing


def _split_folder(config: FolderAnnotations, split: str, folder: str) -> str:
    try:
        return plain_path(folder) + "/"
    except UnsafePathError as error:
        hint = "name a folder inside annotations.videos"
        raise InputError(f"annotations.splits.{split}: {error}", file=config.videos, hint=hint) from None


def _add_split(config: FolderAnnotations, prefix: str, split: str, listing: Listing) -> set[str]:
    """Add the split whose class folders are in `prefix` ("" or ending in a slash) to `listing`; return its classes."""
    folder = config.videos / prefix
    if not folder.is_dir():
        raise InputError("is no folder", file=folder, hint=f"it holds the {split} split: correct annotations.splits")
    classes: set[str] = set()
    for name, is_folder in _entries(folder):
        if is_folder:
            classes.add(name)
            _add_class(config, f"{prefix}{name}/", split, name, listing)
        elif _is_video(config, name, listing):
            if split == "test":
                listing.rows += _row(folder, prefix, name, split, (), listing.problems)
            else:
                what = "is a video outside the folders of the classes"
                listing.problems.add(Kind.STRAY, Place(folder / name), what)
    return classes


def _add_class(config: FolderAnnotations, prefix: str, split: str, label: str, listing: Listing) -> None:
    folder = config.videos / prefix
    for name, is_folder in _entries(folder):
        if is_folder:
            listing.problems.add(Kind.STRAY, Place(folder / name), "is a folder inside the folder of a class")
        elif _is_video(config, name, listing):
            listing.rows += _row(folder, prefix, name, split, (label,), listing.problems)


def _row(
    folder: Path, prefix: str, name: str, split: str, labels: tuple[str, ...], problems: Problems
) -> Iterator[Row]:
    try:
        path = plain_path(prefix + name)
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, Place(folder), str(error))
    else:
        yield Row(path, path, split, labels, Place(folder))


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Return (name, whether it is a folder) of what is in `folder`, sorted, without names that start with a dot."""
    with os.scandir(folder) as entries:
        return sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))


def _is_video(config: FolderAnnotations, name: str, listing: Listing) -> bool:
    """Whether a file's name has the ending of a video; others are counted in `listing`."""
    ending = PurePath(name).suffix.lower()
    if ending in config.extensions:
        return True
    listing.other_endings[ending] += 1
    return False


def _hold_out(rows: list[Row], share: float) -> list[Row]:
    """Return `rows` with `share` of each class (rounded, at least one of two) in the validation split.

    The videos with the smallest hash of their path are held out, so that another video moves at most one of them.
    """
    by_class: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        by_class.setdefault(row.labels, []).append(row)
    drawn: list[Row] = []
    for members in by_class.values():
        members.sort(key=lambda row: hashlib.sha256(row.path.encode()).digest())
        count = min(max(1, round(share * len(members))), len(members) - 1)
        drawn += [row._replace(split="validation") for row in members[:count]] + members[count:]
    return drawn
