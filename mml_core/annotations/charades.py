"""Annotations of Charades as distributed: two CSV files with a row a video, and a text file of the classes.

Of a row's columns `id` and `actions` are used, and where it is there `subject`, who acts: videos of one person are a
group. `actions` is `c092 11.90 21.20;c147 0.00 12.60`, a class with its start and end in seconds each, or empty. The
class file has a line `c000 Holding some clothes` a class: code and name.

Times are taken as they are. Many actions end a little behind the `length` of their video, which does no harm, since
only what overlaps a clip counts. A few in the distributed train file do not end after they start, so that this is no
fault: an action that ends before it starts is a label of its video, but no clip shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mml_core.annotations.csv_rows import csv_rows
from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import CharadesAnnotations
from mml_core.errors import InputError, summarise

_HINT = "is it the file as distributed? See config/datasets/charades.yaml"
_SECONDS = r"([0-9]+(?:\.[0-9]*)?)"
_ACTION = re.compile(rf"(\S+)\s+{_SECONDS}\s+{_SECONDS}")


def read_charades(config: CharadesAnnotations) -> Listing:
    """Return the listing of Charades: ids as distributed, classes by name in the order of their codes.

    Labels are the classes of all actions of a video, with the times of each in `Row.segments`. Raises InputError where
    a file cannot be read, lacks a column, or the classes are not c000, c001, …; faults of rows go into the listing's
    problems.
    """
    problems = Problems()
    names = read_classes(config.classes)
    rows: list[Row] = []
    for split, file in (("train", config.train), ("validation", config.test)):
        # Quotes in the free text of annotators do no harm: what is used of a row is checked by itself.
        for place, fields in csv_rows(file, ("id", "actions"), problems, strict=False, hint=_HINT):
            rows += _row(config, names, split, fields, place, problems)
    return Listing(config.train, config.videos, tuple(names.values()), rows, problems)


def _row(
    config: CharadesAnnotations,
    names: Mapping[str, str],
    split: str,
    fields: Mapping[str, str],
    place: Place,
    problems: Problems,
) -> Iterator[Row]:
    video_id = fields["id"].strip()
    segments = tuple(_segments(names, fields["actions"], place, problems))
    labels = tuple(dict.fromkeys(label for label, _, _ in segments))
    if not video_id:
        problems.add(Kind.MALFORMED, place, "the id is empty")
        return
    try:
        group = fields.get("subject", "").strip()
        yield Row(video_id, plain_path(video_id + config.extension), split, labels, place, segments, group=group)
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, f"id {video_id!r}: {error}")


def _segments(
    names: Mapping[str, str], actions: str, place: Place, problems: Problems
) -> Iterator[tuple[str, float, float]]:
    """Yield (class, start, end) of each action; an unknown code stands for itself, as a label that no class has."""
    for action in filter(None, map(str.strip, actions.split(";"))):
        if found := _ACTION.fullmatch(action):
            yield names.get(found[1], found[1]), float(found[2]), float(found[3])
        else:
            problems.add(Kind.MALFORMED, place, f"expected an action 'class start end', in seconds, got {action!r}")


def read_classes(file: Path) -> dict[str, str]:
    """Return code to name of the classes in `file`, in their order; raises InputError about all its faults at once."""
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", file=file, hint=_HINT) from error
    names: dict[str, str] = {}
    lines_by_name: dict[str, int] = {}
    faults = [] if lines else ["no class"]
    for number, line in enumerate(lines, start=1):
        code, _, name = line.strip().partition(" ")
        name = name.strip()
        if code != f"c{number - 1:03d}" or not name:
            faults.append(f"line {number}: expected 'c{number - 1:03d} name', got {line!r}")
        elif lines_by_name.setdefault(name, number) != number:
            faults.append(f"line {number}: {name!r} is also in line {lines_by_name[name]}")
        names[code] = name
    if faults:
        raise InputError(f"{len(faults)} fault(s):\n{summarise(faults)}", file=file, hint=_HINT)
    return names
