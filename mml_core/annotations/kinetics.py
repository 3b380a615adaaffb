"""Annotations of Kinetics as distributed: `train.csv`, `val.csv` and `test.csv`, and videos that are cut out already.

Of a row's columns `label`, `youtube_id`, `time_start` and `time_end` are used (the test list may have no labels). The video
is `<id>_<start>_<end>.mp4`, seconds of six digits, directly in the folder of the videos or in one named like the class, with
blanks or with `_` for them. The classes are the labels of the train list, sorted.

Videos vanish from YouTube, so that hardly anybody has them all. What is not there is no fault here: it is left out, and
counted. This is looked up whenever the folder of the videos is there, and whoever plans must see the same files; without
the folder, for planning alone, all of them count as there.

A subset (Mini-Kinetics: 200 classes, 80,000 and 5,000 videos) is two lists of YouTube ids. Listed ids of which the CSV file
knows nothing count as missing too.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mml_core.annotations.csv_rows import csv_rows
from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.text_lines import text_lines
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import KineticsAnnotations
from mml_core.errors import InputError

_HINT = "is it the file as distributed? See config/datasets/kinetics400.yaml"
_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_SECONDS = re.compile(r"([0-9]{1,6})(?:\.0*)?")
#: Why a video is left out.
NO_FILE = "missing: the file is not there"
NOT_LISTED = "missing: its id is not in the CSV file"


def read_kinetics(config: KineticsAnnotations) -> Listing:
    """Return the listing of Kinetics, or of a subset: an id is `<YouTube id>_<start>_<end>` as in the file's name.

    Raises InputError where a file cannot be read or lacks a column; faults of rows go into the listing's problems.
    """
    problems = Problems()
    subset = config.subset
    files = (
        ("train", config.train, subset and subset.train),
        ("validation", config.validation, subset and subset.validation),
        ("test", None if subset else config.test, None),
    )
    rows: list[Row] = []
    for split, file, ids in files:
        wanted = _read_ids(ids, problems) if ids else None
        find = functools.partial(_find, _Folders(config.videos), _split_folder(config, split))
        if file:
            rows += _split_rows(config, split, file, wanted, find, problems)
    classes = sorted({label for row in rows if row.split == "train" for label in row.labels})
    return Listing(config.train, config.videos, tuple(classes), rows, problems)


def _split_rows(
    config: KineticsAnnotations,
    split: str,
    file: Path,
    wanted: Mapping[str, Place] | None,
    find: Callable[[str, str], str | None],
    problems: Problems,
) -> Iterator[Row]:
    """Yield the rows of a list, of `wanted` ids alone where these are given."""
    columns = ("youtube_id", "time_start", "time_end") + (("label",) if split != "test" else ())
    found: set[str] = set()
    for place, fields in csv_rows(file, columns, problems, strict=True, hint=_HINT):
        youtube_id = fields["youtube_id"].strip()
        if wanted is None or youtube_id in wanted:
            found.add(youtube_id)
            yield from _row(config, split, fields, place, find, problems)
    for youtube_id, place in (wanted or {}).items():
        if youtube_id not in found:
            yield Row(youtube_id, youtube_id + config.extension, split, (), place, missing=NOT_LISTED)


def _row(
    config: KineticsAnnotations,
    split: str,
    fields: Mapping[str, str],
    place: Place,
    find: Callable[[str, str], str | None],
    problems: Problems,
) -> Iterator[Row]:
    youtube_id, label = fields["youtube_id"].strip(), fields.get("label", "").strip()
    times = [_SECONDS.fullmatch(fields[column].strip()) for column in ("time_start", "time_end")]
    if not _ID.fullmatch(youtube_id) or None in times or (split != "test" and not label):
        problems.add(Kind.MALFORMED, place, f"expected label, YouTube id and whole seconds, got {dict(fields)}")
        return
    video_id = "_".join([youtube_id, *(f"{int(time[1]):06d}" for time in times if time)])
    name = video_id + config.extension
    try:
        path = find(label, name)
        missing = "" if path else NO_FILE
        yield Row(video_id, path or name, split, (label,) if label else (), place, missing=missing)
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, f"label {label!r}: {error}")


class _Folders:
    """The names in the folders below `root`, each of which is read once."""

    def __init__(self, root: Path) -> None:
        self._root, self._names = root, {}
        self.unknown = not root.exists()  #: the videos are elsewhere: only the plan can be made here

    def holds(self, path: str) -> bool:
        """Whether there is a file, or something else, at `path`."""
        folder, _, name = path.rpartition("/")
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(self._root / folder))
            except OSError:
                self._names[folder] = frozenset()
        return name in self._names[folder]


def _find(folders: _Folders, split_folder: str, label: str, name: str) -> str | None:
    """Return the path of a video: in the folder of its class, or directly in that of its split; None: it is missing."""
    places = dict.fromkeys([label, label.replace(" ", "_"), ""])
    paths = [plain_path(f"{split_folder}/{place}/{name}".lstrip("/")) for place in places]
    if folders.unknown:
        return paths[-1]
    return next((path for path in paths if folders.holds(path)), None)


def _split_folder(config: KineticsAnnotations, split: str) -> str:
    folder = config.folders.get(split, "")
    try:
        return plain_path(folder) if folder else ""
    except UnsafePathError as error:
        hint = "name a folder inside annotations.videos"
        raise InputError(f"annotations.folders.{split}: {error}", file=config.videos, hint=hint) from None


def _read_ids(file: Path, problems: Problems) -> dict[str, Place]:
    """Return the place of each YouTube id in `file`."""
    places: dict[str, Place] = {}
    for place, line in text_lines(file, _HINT):
        if not _ID.fullmatch(line):
            problems.add(Kind.MALFORMED, place, f"expected a YouTube id of 11 characters, got {line!r}")
        elif places.setdefault(line, place) is not place:
            problems.add(Kind.TWICE, place, f"{line!r} is also at {places[line]}")
    return places
