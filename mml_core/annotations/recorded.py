"""The table of a drawn split: written once, only ever appended to, and read by planning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mml_core.annotations.csv_rows import csv_rows
from mml_core.annotations.draw import balanced_splits, joined, kept_split, with_splits
from mml_core.annotations.problems import Problems
from mml_core.annotations.types import Row
from mml_core.errors import InputError, summarise
from mml_core.io.tables import table_text

_COLUMNS = ("group", "split")
_HINT = "it is a CSV file with the columns group and split, as `mml split` writes it"
_SPLITS = ("train", "validation")


def drawn(
    rows: Sequence[Row], names: Sequence[str], share: float, table: Path | None, pairs: Iterable[tuple[str, str]]
) -> list[Row]:
    """Return `rows` in their drawn splits.

    Args:
        rows: videos.
        names: the group of each, or for one without a group a name of its own.
        share: of the groups that are held out where there is no table.
        table: with the splits of groups.
        pairs: ids of videos that belong together, whatever their groups.

    Raises InputError where the table cannot be read or lacks a group.
    """
    known = read_splits(table) if table is not None else {}
    if table is not None and (lacking := sorted({*names} - set(known))):
        raise InputError(
            f"lacks the split of {len(lacking)} group(s) of videos:\n{summarise([repr(name) for name in lacking], 5)}",
            file=table,
            hint="`mml split` with the name of the data set draws theirs and appends them; what is there stays",
        )
    groups, members = _together(rows, names, pairs)
    return with_splits(rows, groups, {group: kept_split(own, known, share) for group, own in members.items()})


def new_splits(
    rows: Sequence[Row],
    names: Sequence[str],
    share: float,
    known: Mapping[str, str],
    pairs: Iterable[tuple[str, str]],
) -> dict[str, str]:
    """Return the balanced splits of those groups that are not `known`; arguments as of `drawn`."""
    groups, members = _together(rows, names, pairs)
    fixed = {group: kept_split(own, known, share) for group, own in members.items() if not own.isdisjoint(known)}
    splits = balanced_splits(groups, [row.labels for row in rows], fixed, share)
    return {name: splits[group] for group in sorted(members) for name in sorted(members[group]) if name not in known}


def _together(
    rows: Sequence[Row], names: Sequence[str], pairs: Iterable[tuple[str, str]]
) -> tuple[list[str], dict[str, set[str]]]:
    """Return what each of `rows` is drawn with, groups and pairs that hang together being one, and the groups in it."""
    groups = joined(names, [row.video_id for row in rows], pairs)
    members: dict[str, set[str]] = defaultdict(set)
    for group, name in zip(groups, names, strict=True):
        members[group].add(name)
    return groups, members


def read_splits(table: Path) -> dict[str, str]:
    """Return the splits of groups in `table`; raises InputError where it is none."""
    problems, splits = Problems(), {}
    for place, fields in csv_rows(table, _COLUMNS, problems, strict=True, hint=_HINT):
        group, split = (fields[name] for name in _COLUMNS)
        if split not in _SPLITS:
            raise InputError(f"line {place.line}: split {split!r} is none of {', '.join(_SPLITS)}", file=table)
        if splits.setdefault(group, split) != split:
            raise InputError(f"line {place.line}: group {group!r} is in both splits", file=table)
    problems.raise_if_any(table)
    return splits


def splits_text(splits: Mapping[str, str]) -> str:
    """Return the table of `splits`, CSV, in their order."""
    return table_text(_COLUMNS, splits.items())
