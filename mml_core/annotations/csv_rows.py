"""Rows of annotation files in CSV, each with the line at which it starts."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.errors import InputError


def csv_rows(
    file: Path, columns: Sequence[str], problems: Problems, *, strict: bool, hint: str
) -> Iterator[tuple[Place, Mapping[str, str]]]:
    """Yield the place and the fields, by column, of every row of `file`: UTF-8, commas, a header line.

    `columns` are those that must be there, once each. Quoted fields may hold commas, quotes and line ends; `strict`
    refuses quotes that are not doubled inside of them. Rows with another number of fields than the header go into
    `problems`; empty lines are skipped, and those of commas alone, which spreadsheets leave behind. Raises InputError
    with `hint` where the file cannot be read or lacks a column.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=strict)
            header = next(reader, [])
            _check_header(file, header, columns, hint)
            line = reader.line_num
            for values in reader:
                place, line = Place(file, line + 1), reader.line_num
                if not any(value.strip() for value in values):
                    continue
                if len(values) == len(header):
                    yield place, dict(zip(header, values, strict=True))
                else:
                    problems.add(
                        Kind.MALFORMED, place, f"expected {len(header)} fields as in line 1, got {len(values)}"
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read ({error})", file=file, hint=hint) from error


def _check_header(file: Path, header: Sequence[str], columns: Sequence[str], hint: str) -> None:
    if missing := [name for name in columns if name not in header]:
        found = ", ".join(header) or "nothing"
        raise InputError(f"line 1: no column {', '.join(map(repr, missing))}; found {found}", file=file, hint=hint)
    if twice := [name for name in columns if header.count(name) > 1]:
        raise InputError(f"line 1: column {twice[0]!r} occurs twice", file=file, hint=hint)
