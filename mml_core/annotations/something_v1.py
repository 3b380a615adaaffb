"""Annotations of Something-Something-v1 as distributed: lists of labels, train, validation and test without a header.

A line of the labels is a class; of train and validation `100218;Something falling like a feather or paper`, id and
class; of test an id. A video is a folder of frames, `<id>/00001.jpg` and on, 12 a second and 100 pixels high. Jester
has this form too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.text_lines import text_lines
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import SomethingSomethingV1Annotations
from mml_core.errors import InputError, summarise

_HINT = "is it the file as distributed? See config/datasets/something_v1.yaml"


def read_something_something_v1(config: SomethingSomethingV1Annotations) -> Listing:
    """Return the listing of Something-Something-v1: ids as distributed, classes in the order of the list of labels.

    Raises InputError where a file cannot be read, or a class is listed twice; faults of lines go into the listing's
    problems.
    """
    problems = Problems()
    classes = _read_classes(config.labels)
    rows: list[Row] = []
    for split, file in (("train", config.train), ("validation", config.validation), ("test", config.test)):
        for place, line in text_lines(file, _HINT) if file else ():
            rows += _row(split, line, place, problems)
    return Listing(config.train, config.videos, classes, rows, problems, frame_folders=True)


def _row(split: str, line: str, place: Place, problems: Problems) -> Iterator[Row]:
    video_id, _, label = map(str.strip, line.partition(";"))
    if not (video_id.isascii() and video_id.isdecimal()) or (split != "test" and not label):
        form = "an id, which is a number" if split == "test" else "'id;class', the id a number"
        problems.add(Kind.MALFORMED, place, f"expected {form}, got {line!r}")
        return
    yield Row(video_id, video_id, split, () if split == "test" else (label,), place)


def _read_classes(file: Path) -> tuple[str, ...]:
    lines_by_name: dict[str, int] = {}
    faults = []
    for place, name in text_lines(file, _HINT):
        if lines_by_name.setdefault(name, place.line) != place.line:
            faults.append(f"line {place.line}: {name!r} is also in line {lines_by_name[name]}")
    if faults or not lines_by_name:
        faults = faults or ["no class"]
        raise InputError(f"{len(faults)} fault(s):\n{summarise(faults)}", file=file, hint=_HINT)
    return tuple(lines_by_name)
