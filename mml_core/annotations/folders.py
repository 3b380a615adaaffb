"""Annotations as folders: `videos/<split>/<class>/<file>`, or `videos/<class>/<file>` with a share held out.

Where `group` says what videos share, there may be folders between that of the class and the file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place
from mml_core.annotations.recorded import drawn
from mml_core.annotations.types import Listing, Row
from mml_core.config.own_annotations import FolderAnnotations, PathGroup
from mml_core.errors import InputError

#: Folders within folders that are looked into: more are a link to one of those above.
_MOST_FOLDERS = 16


def read_folders(config: FolderAnnotations, together: Iterable[tuple[str, str]] = ()) -> Listing:
    """Return the listing of one folder a class; an id is the path below `videos`.

    Names that start with a dot and files with other endings than `extensions` are left out, the latter counted. Videos
    of the test split may lie directly in its folder: they have no label. A drawn split does not part the pairs of ids
    `together`. Raises InputError where a folder is missing.
    """
    listing = list_folders(config)
    together = list(together)
    if config.is_drawn and (config.group is not None or config.recorded is not None or together):
        names = drawn_names(listing.rows)
        listing.rows = drawn(listing.rows, names, config.validation_share, config.recorded, together)
    elif config.is_drawn:
        listing.rows = _hold_out(listing.rows, config.validation_share)
    return listing


def list_folders(config: FolderAnnotations) -> Listing:
    """Return the listing, as `read_folders` does, with all videos in training where a split is to be drawn."""
    if not config.videos.is_dir():
        raise InputError("is no folder", file=config.videos, hint="set annotations.videos to the folder of the videos")
    listing = Listing(config.videos, config.videos, (), [])
    classes: set[str] = set()
    if config.splits is None:
        classes |= _add_split(config, "", "train", listing)
    else:
        for split, folder in config.splits.items():
            classes |= _add_split(config, _split_folder(config, split, folder), split, listing)
    listing.classes = tuple(sorted(classes))
    return listing


def drawn_names(rows: Iterable[Row]) -> list[str]:
    """Return what each of the videos of class folders is drawn by: its group, or its path without that of the class."""
    return [row.group or row.path.partition("/")[2] for row in rows]


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
                listing.rows += _row(config, prefix, name, split, (), listing)
            else:
                what = "is a video outside the folders of the classes"
                listing.problems.add(Kind.STRAY, Place(folder / name), what)
    return classes


def _add_class(
    config: FolderAnnotations, prefix: str, split: str, label: str, listing: Listing, within: str = ""
) -> None:
    """Add the videos in the folder `within` ("" or ending in a slash) of that of a class."""
    folder = config.videos / prefix / within
    for name, is_folder in _entries(folder):
        if is_folder and (config.group is None or within.count("/") >= _MOST_FOLDERS):
            listing.problems.add(Kind.STRAY, Place(folder / name), "is a folder inside the folder of a class")
        elif is_folder:
            _add_class(config, prefix, split, label, listing, f"{within}{name}/")
        elif _is_video(config, name, listing):
            listing.rows += _row(config, prefix, within + name, split, (label,), listing)


def _row(
    config: FolderAnnotations, prefix: str, name: str, split: str, labels: tuple[str, ...], listing: Listing
) -> Iterator[Row]:
    place = Place(config.videos / prefix)
    try:
        path = plain_path(prefix + name)
    except UnsafePathError as error:
        listing.problems.add(Kind.OUTSIDE, place, str(error))
        return
    group = _group(config.group, name) if config.group is not None else ""
    if config.group is not None and not group:
        listing.problems.add(Kind.NO_GROUP, place, f"{name!r}")
    yield Row(path, path, split, labels, place, group=group)


def _group(rule: PathGroup, name: str) -> str:
    """Return the group of a video by its path below the class's folder; empty where the rule finds none."""
    if rule.parent is not None:
        folders = PurePath(name).parts[:-1]
        return folders[-rule.parent] if len(folders) >= rule.parent else ""
    found = re.search(rule.pattern or "", name)
    return (found[min(1, found.re.groups)] or "") if found else ""


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
