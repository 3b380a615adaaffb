"""Annotations as a CSV file with a row a video: path, label or labels, split."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.types import Listing, Row
from mml_core.config.dataset import ManifestAnnotations
from mml_core.errors import InputError

Fields = Mapping[str, str]


def read_manifest(config: ManifestAnnotations, *, multi_label: bool) -> Listing:
    """Return the listing of a CSV file; an id is the path in plain form (`a/b.mp4` for `./a//b.mp4`).

    With `multi_label` the label column is parted at `label_separator`, otherwise it is one label as a whole.
    Raises InputError where the file cannot be read or lacks a column; faults of rows go into the listing's problems.
    """
    problems = Problems()
    rows: list[Row] = []
    for place, fields in _records(config, problems):
        rows += _row(config, fields, multi_label, place, problems)
    _check_excluded(config, rows, problems)
    excluded = set(config.exclude_labels)
    rows = [row for row in rows if excluded.isdisjoint(row.labels)]
    classes = (
        _read_classes(config.classes) if config.classes else sorted({label for row in rows for label in row.labels})
    )
    return Listing(config.manifest, config.videos, tuple(classes), rows, problems)


def _records(config: ManifestAnnotations, problems: Problems) -> Iterator[tuple[Place, Fields]]:
    try:
        with config.manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            _check_header(config, header)
            line = reader.line_num
            for values in reader:
                place, line = Place(config.manifest, line + 1), reader.line_num
                if len(values) == len(header):
                    yield place, dict(zip(header, values, strict=True))
                elif values:
                    problems.add(
                        Kind.MALFORMED, place, f"expected {len(header)} fields as in line 1, got {len(values)}"
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        hint = "annotations.manifest is a CSV file in UTF-8 with commas and a header line"
        raise InputError(f"cannot be read ({error})", file=config.manifest, hint=hint) from error


def _check_header(config: ManifestAnnotations, header: list[str]) -> None:
    names = [config.columns.path, config.columns.label, config.columns.split]
    missing = [name for name in names if name not in header]
    if missing:
        found = ", ".join(header) or "nothing"
        raise InputError(
            f"line 1: no column {', '.join(map(repr, missing))}; found {found}",
            file=config.manifest,
            hint="the first line names the columns; set annotations.columns to the names in use",
        )
    twice = [name for name in names if header.count(name) > 1]
    if twice:
        raise InputError(f"line 1: column {twice[0]!r} occurs twice", file=config.manifest, hint="rename one of them")


def _row(
    config: ManifestAnnotations, fields: Fields, multi_label: bool, place: Place, problems: Problems
) -> Iterator[Row]:
    value = fields[config.columns.split].strip()
    split = config.splits.get(value)
    if split is None:
        known = ", ".join(map(repr, config.splits))
        problems.add(Kind.UNKNOWN_SPLIT, place, f"split {value!r} is none of {known}")
    try:
        path = plain_path(fields[config.columns.path])
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, str(error))
        return
    if split:
        text = fields[config.columns.label]
        parts = text.split(config.label_separator) if multi_label else [text]
        labels = tuple(label for part in parts if (label := part.strip()))
        yield Row(path, path, split, labels, place)


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
