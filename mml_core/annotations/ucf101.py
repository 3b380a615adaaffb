"""Annotations of UCF101 as distributed: `classInd.txt`, and for each of three splits `trainlist0N.txt`, `testlist0N.txt`.

A line of classInd.txt is `1 ApplyEyeMakeup`, a class and its number from 1; of a train list
`ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`, a video and the number of its class; of a test list the video alone. The
class is the folder: file names need not agree with it (`HandstandPushups/v_HandStandPushups_g01_c01.avi`).

The videos of the test list become the split validation. UCF101 has no other that is held out, all papers report results on
it, and here a split validation is what tables are about and what a training's history is measured on (no weights are chosen
by it), while the split test is one whose labels may be unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.text_lines import text_lines
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import Ucf101Annotations
from mml_core.errors import InputError, summarise

_HINT = "is it the file as distributed? See config/datasets/ucf101.yaml"


def read_ucf101(config: Ucf101Annotations) -> Listing:
    """Return the listing of one split of UCF101: an id is the path `<class>/<file>`, classes are in classInd's order.

    Raises InputError where a file cannot be read, or the classes are not numbered 1, 2, 3, …; faults of lines go into
    the listing's problems.
    """
    problems = Problems()
    classes = _read_classes(config.lists / "classInd.txt")
    rows: list[Row] = []
    for split, name in (("train", "trainlist"), ("validation", "testlist")):
        for place, line in text_lines(config.lists / f"{name}{config.split:02d}.txt", _HINT):
            rows += _row(classes, split, line, place, problems)
    return Listing(config.lists, config.videos, classes, rows, problems)


def _row(classes: Sequence[str], split: str, line: str, place: Place, problems: Problems) -> Iterator[Row]:
    text, _, number = line.partition(" ")
    label, slash, name = text.partition("/")
    if not (label and slash and name) or not (number.strip().isdecimal() or (split != "train" and not number)):
        problems.add(Kind.MALFORMED, place, f"expected 'Class/video.avi', in train lists with a number, got {line!r}")
        return
    if number and label in classes and int(number) != 1 + classes.index(label):
        problems.add(Kind.MALFORMED, place, f"{int(number)} is not the number of {label!r} in classInd.txt: {line!r}")
        return
    try:
        path = plain_path(text)
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, str(error))
    else:
        yield Row(path, path, split, (label,), place)


def _read_classes(file: Path) -> tuple[str, ...]:
    """Return the classes in the order of their numbers; raises InputError about all faults of the file at once."""
    lines_by_name: dict[str, int] = {}
    faults = []
    for place, line in text_lines(file, _HINT):
        number, _, name = line.partition(" ")
        name = name.strip()
        if number != str(len(lines_by_name) + 1) or not name:
            faults.append(f"line {place.line}: expected '{len(lines_by_name) + 1} name', got {line!r}")
        if lines_by_name.setdefault(name or line, place.line) != place.line:
            faults.append(f"line {place.line}: {name!r} is also in line {lines_by_name[name]}")
    if not lines_by_name:
        faults.append("no class")
    if faults:
        raise InputError(f"{len(faults)} fault(s):\n{summarise(faults)}", file=file, hint=_HINT)
    return tuple(lines_by_name)
