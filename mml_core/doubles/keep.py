"""Keeping what the workflow found about doubles in a table of the data set, which planning reads."""

from __future__ import annotations

from pathlib import Path

from mml_core.annotations.doubles import Pair, read_pairs
from mml_core.doubles.rows import Double
from mml_core.errors import InputError
from mml_core.io.files import write_text
from mml_core.io.tables import read_rows, table_text


def keep_doubles(found: Path, table: Path) -> tuple[int, int]:
    """Add the pairs in `found`, as the workflow wrote it, to `table`; return how many are new, and how many were there.

    Doubles that were left out of the data set are in no later `found`, so rows are only ever added. Raises InputError
    where the workflow has not looked yet, or `table` is one of its own results.
    """
    if not found.exists():
        hint = f"they are found once frames are decoded: snakemake --cores all {found}"
        raise InputError("there is no such table of doubles", file=found, hint=hint)
    if table.resolve().is_relative_to(found.parent.resolve()):
        raise InputError(
            "is where the workflow writes, which would overwrite it", file=table, hint="name another place"
        )
    kept = read_pairs(table) if table.exists() else []
    known = {frozenset(pair[:2]) for pair in kept}
    rows = [Pair(row.video_a, row.video_b, row.kind) for row in read_rows(found, Double)]
    new = [row for row in rows if frozenset(row[:2]) not in known]
    if new or not table.exists():
        write_text(table, table_text(Pair._fields, [*kept, *new]))
    return len(new), len(kept)
