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

    Names that start with a dot and files with other endings than `extensions` are left out. Videos of the test split
    may lie directly in its folder: they have no label. Raises InputError where a folder is missing.
    """
    if not config.videos.is_dir():
        raise InputError("is no folder", file=config.videos, hint="set annotations.videos to the folder of the videos")
    problems = Problems()
    if config.splits is None:
        found = _split_rows(config, "", "train", problems)
        rows, classes = _hold_out(found[0], config.validation_share), found[1]
    else:
        rows, classes = [], set()
        for split, folder in config.splits.items():
            split_rows, split_classes = _split_rows(config, _split_folder(config, split, folder), split, problems)
            rows += split_rows
            classes |= split_classes
    return Listing(config.videos, config.videos, tuple(sorted(classes)), rows, problems)


def _split_folder(config: FolderAnnotations, split: str, folder: str) -> str:
    try:
        return plain_path(folder) + "/"
    except UnsafePathError as error:
        hint = "name a folder inside annotations.videos"
        raise InputError(f"annotations.splits.{split}: {error}", file=config.videos, hint=hint) from None


def _split_rows(config: FolderAnnotations, prefix: str, split: str, problems: Problems) -> tuple[list[Row], set[str]]:
    """Return rows and classes of the split whose class folders are in `prefix` ("" or ending in a slash)."""
    folder = config.videos / prefix
    if not folder.is_dir():
        raise InputError("is no folder", file=folder, hint=f"it holds the {split} split: correct annotations.splits")
    rows: list[Row] = []
    classes: set[str] = set()
    for name, is_folder in _entries(folder):
        if is_folder:
            classes.add(name)
            rows += _class_rows(config, f"{prefix}{name}/", split, name, problems)
        elif _is_video(config, name):
            if split == "test":
                rows += _row(folder, prefix, name, split, (), problems)
            else:
                problems.add(Kind.STRAY, Place(folder / name), "is a video outside the folders of the classes")
    return rows, classes


def _class_rows(config: FolderAnnotations, prefix: str, split: str, label: str, problems: Problems) -> list[Row]:
    folder = config.videos / prefix
    rows: list[Row] = []
    for name, is_folder in _entries(folder):
        if is_folder:
            problems.add(Kind.STRAY, Place(folder / name), "is a folder inside the folder of a class")
        elif _is_video(config, name):
            rows += _row(folder, prefix, name, split, (label,), problems)
    return rows


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


def _is_video(config: FolderAnnotations, name: str) -> bool:
    return PurePath(name).suffix.lower() in config.extensions


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
