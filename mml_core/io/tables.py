"""Tables of text as CSV files, a named tuple a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from mml_core.errors import InputError

Table = TypeVar("Table", bound=NamedTuple)


def table_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return `rows` as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def read_rows(path: Path, kind: type[Table]) -> list[Table]:
    """Return the rows of a table that the workflow made; raises InputError where it is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [kind(**row) for row in csv.DictReader(file)]
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"cannot be read as a table ({error})", file=path, hint="run snakemake again") from error
