"""Annotations as a CSV file with a row a video: path, label or labels, split, and where there are some its group."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mml_core.annotations.csv_rows import csv_rows
from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.recorded import drawn
from mml_core.annotations.types import Listing, Row
from mml_core.config.own_annotations import ManifestAnnotations
from mml_core.errors import InputError

Fields = Mapping[str, str]

_HINT = (
    "annotations.manifest is a CSV file in UTF-8 with commas and a header line; "
    "annotations.columns tells how its columns are called"
)


def read_manifest(
    config: ManifestAnnotations, *, multi_label: bool, together: Iterable[tuple[str, str]] = ()
) -> Listing:
    """Return the listing of a CSV file; an id is the path in plain form (`a/b.mp4` for `./a//b.mp4`).

    With `multi_label` the label column is parted at `label_separator`, otherwise it is one label as a whole.
    A drawn split does not part the pairs of ids `together`.
    Raises InputError where the file cannot be read or lacks a column; faults of rows go into the listing's problems.
    """
    listing = list_manifest(config, multi_label=multi_label)
    if config.is_drawn:
        names = drawn_names(listing.rows)
        listing.rows = drawn(listing.rows, names, config.validation_share, config.recorded, together)
    return listing


def drawn_names(rows: Iterable[Row]) -> list[str]:
    """Return what each video is drawn by: its group, or its path."""
    return [row.group or row.path for row in rows]


def list_manifest(config: ManifestAnnotations, *, multi_label: bool) -> Listing:
    """Return the listing, as `read_manifest` does, with all videos in training where a split is to be drawn."""
    problems = Problems()
    rows: list[Row] = []
    names = config.columns
    columns = (names.path, names.label, *(name for name in (names.split, names.group) if name is not None))
    for place, fields in csv_rows(config.manifest, columns, problems, strict=True, hint=_HINT):
        rows += _row(config, fields, multi_label, place, problems)
    _check_excluded(config, rows, problems)
    excluded = set(config.exclude_labels)
    rows = [row for row in rows if excluded.isdisjoint(row.labels)]
    classes = (
        _read_classes(config.classes) if config.classes else sorted({label for row in rows for label in row.labels})
    )
    return Listing(config.manifest, config.videos, tuple(classes), rows, problems)


def _row(
    config: ManifestAnnotations, fields: Fields, multi_label: bool, place: Place, problems: Problems
) -> Iterator[Row]:
    value = fields[config.columns.split].strip() if config.columns.split is not None else ""
    split = config.splits.get(value) if config.columns.split is not None else "train"
    if split is None:
        known = ", ".join(map(repr, config.splits))
        problems.add(Kind.UNKNOWN_SPLIT, place, f"split {value!r} is none of {known}")
    if not fields[config.columns.path].strip():
        problems.add(Kind.MALFORMED, place, f"column {config.columns.path!r}, the path, is empty")
        return
    try:
        path = plain_path(fields[config.columns.path])
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, str(error))
        return
    group = "" if config.columns.group is None else fields[config.columns.group].strip()
    if config.columns.group is not None and not group:
        problems.add(Kind.MALFORMED, place, f"column {config.columns.group!r}, the group, is empty")
    if split:
        text = fields[config.columns.label]
        parts = text.split(config.label_separator) if multi_label else [text]
        labels = tuple(label for part in parts if (label := part.strip()))
        yield Row(path, path, split, labels, place, group=group)


def _check_excluded(config: ManifestAnnotations, rows: list[Row], problems: Problems) -> None:
    found = {label for row in rows for label in row.labels}
    for label in config.exclude_labels:
        if label not in found:
            near = difflib.get_close_matches(label, found, n=1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            problems.add(Kind.UNKNOWN_EXCLUDED, Place(config.manifest), f"{label!r}{advice}")


def _read_classes(file: Path) -> list[str]:
    """Return the classes in `file`, one a line; empty lines are skipped."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        hint = "annotations.classes is a text file in UTF-8 with a class a line"
        raise InputError(f"cannot be read ({error})", file=file, hint=hint) from error
    classes: dict[str, int] = {}
    for number, name in enumerate(lines, start=1):
        if name and classes.setdefault(name, number) != number:
            hint = "keep one of the lines"
            raise InputError(f"line {number}: {name!r} is also in line {classes[name]}", file=file, hint=hint)
    return list(classes)
