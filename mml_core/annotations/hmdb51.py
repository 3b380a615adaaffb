"""Annotations of HMDB51 as distributed: for each class and each of three splits a file `<class>_test_splitN.txt`.

A line is `<name>.avi 1 `: 1 for training (70 a class), 2 for testing (30), 0 for neither. The class is that of the
file's name, and the folder of the video. Names hold `!`, `[`, `(`, `#`, `;` and `&`. What stands before the class in a
name, as `April_09` in `April_09_brush_hair_u_nm_np1_ba_goo_0.avi`, is the title of what it was cut from: a group.

The videos for testing become the split validation, for the reasons given for UCF101 (`mml_core.annotations.ucf101`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.text_lines import text_lines
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import Hmdb51Annotations
from mml_core.errors import InputError

_HINT = "is it the file as distributed? See config/datasets/hmdb51.yaml"
#: Value of a line to split; those of no split are left out.
_SPLITS = {"0": None, "1": "train", "2": "validation"}


def read_hmdb51(config: Hmdb51Annotations) -> Listing:
    """Return the listing of one split of HMDB51: an id is the path `<class>/<file>`, the classes are sorted.

    Raises InputError where there is no list, or one cannot be read; faults of lines go into the listing's problems.
    """
    problems = Problems()
    files = _lists(config)
    rows: list[Row] = []
    for label, file in files.items():
        for place, line in text_lines(file, _HINT):
            rows += _row(label, line, place, problems)
    return Listing(config.lists, config.videos, tuple(files), rows, problems)


def _lists(config: Hmdb51Annotations) -> dict[str, Path]:
    """Return the list of each class, sorted by class; those that other systems hide (`._brush_hair_…`) are none."""
    ending = f"_test_split{config.split}.txt"
    try:
        names = sorted(file.name for file in config.lists.iterdir() if file.name.endswith(ending))
    except OSError as error:
        raise InputError(f"cannot be read ({error})", file=config.lists, hint=_HINT) from error
    files = {name.removesuffix(ending): config.lists / name for name in names if not name.startswith(".")}
    if not files:
        raise InputError(f"holds no file <class>{ending}", file=config.lists, hint=_HINT)
    return dict(sorted(files.items()))


def _row(label: str, line: str, place: Place, problems: Problems) -> Iterator[Row]:
    name, _, value = line.rpartition(" ")
    if not name or value not in _SPLITS:
        problems.add(Kind.MALFORMED, place, f"expected 'video.avi' and 0, 1 or 2, got {line!r}")
        return
    split = _SPLITS[value]
    try:
        path = plain_path(f"{label}/{name.strip()}")
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, str(error))
        return
    if split:
        title = name.rpartition(f"_{label}_")[0].strip()
        yield Row(path, path, split, (label,), place, group=title)
