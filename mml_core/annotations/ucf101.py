"""Annotations of UCF101 as distributed: classInd.txt, and for each of three splits trainlist0N.txt and testlist0N.txt.

A line of classInd.txt is `1 ApplyEyeMakeup`, a class and its number from 1; of a train list
`ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`, a video and the number of its class; of a test list the video alone.
The class is the folder: file names need not agree with it (`HandstandPushups/v_HandStandPushups_g01_c01.avi`).
Videos of one class with the same number behind `_g` were cut from the same material: they are a group.

The videos of the test list become the split validation, as in Charades: UCF101 has no other that is held out, and all
papers report results on them. Tables are about the split validation, and so is a training's history; the split test is
for videos whose labels may be unknown. No weights are chosen by their accuracy here, but a schedule may watch it
(plateau), as that of papers without a third part does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.text_lines import text_lines
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import Ucf101Annotations
from mml_core.errors import InputError, summarise

_GROUP = re.compile(r"_(g[0-9]+)_c[0-9]+\.")
_HINT = "is it the file as distributed? See config/datasets/ucf101.yaml"


def read_ucf101(config: Ucf101Annotations) -> Listing:
    """Return the listing of one split of UCF101: an id is the path `<class>/<file>`, classes are in classInd's order.

    Raises InputError where a file cannot be read, or the classes are not numbered 1, 2, 3, …; faults of lines go into
    the listing's problems.
    """
    problems = Problems()
    numbers = _read_classes(config.lists / "classInd.txt")
    rows: list[Row] = []
    for split, name in (("train", "trainlist"), ("validation", "testlist")):
        for place, line in text_lines(config.lists / f"{name}{config.split:02d}.txt", _HINT):
            rows += _row(numbers, split, line, place, problems)
    return Listing(config.lists, config.videos, tuple(numbers), rows, problems)


def _row(numbers: Mapping[str, int], split: str, line: str, place: Place, problems: Problems) -> Iterator[Row]:
    text, _, number = line.partition(" ")
    label, slash, name = text.partition("/")
    if not (label and slash and name) or not (number.strip().isdecimal() or (split != "train" and not number)):
        problems.add(Kind.MALFORMED, place, f"expected 'Class/video.avi', in train lists with a number, got {line!r}")
        return
    if number and label in numbers and int(number) != numbers[label]:
        problems.add(Kind.MALFORMED, place, f"{int(number)} is not the number of {label!r} in classInd.txt: {line!r}")
        return
    try:
        path = plain_path(text)
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, str(error))
    else:
        found = _GROUP.search(name)
        yield Row(path, path, split, (label,), place, group=f"{label}/{found[1]}" if found else "")


def _read_classes(file: Path) -> dict[str, int]:
    """Return the number of each class, in their order; raises InputError about all faults of the file at once."""
    numbers: dict[str, int] = {}
    faults = []
    for expected, (place, line) in enumerate(text_lines(file, _HINT), start=1):
        number, _, name = line.partition(" ")
        name = name.strip()
        if number != str(expected) or not name:
            faults.append(f"line {place.line}: expected '{expected} name', got {line!r}")
        elif numbers.setdefault(name, expected) != expected:
            faults.append(f"line {place.line}: {name!r} has the number {numbers[name]} too")
    if faults or not numbers:
        faults = faults or ["no class"]
        raise InputError(f"{len(faults)} fault(s):\n{summarise(faults)}", file=file, hint=_HINT)
    return numbers
