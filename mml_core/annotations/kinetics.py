"""Annotations of Kinetics as distributed: `train.csv`, `val.csv` and `test.csv`, and videos that are cut out already.

Of a row's columns `label`, `youtube_id`, `time_start` and `time_end` are used (the test list may have no labels). The
video is `<id>_<start>_<end>.mp4`, seconds of six digits, directly in the folder of the videos or in one named like the
class, with blanks or with `_` for them. The classes are the labels of the train list, sorted.

Videos vanish from YouTube, so that hardly anybody has them all. What is not there is no fault here: it is left out, and
counted. This is looked up whenever the folder of the videos is there, so that all jobs of a run must see the same
files. Without the folder, for planning alone, all of them count as there.

A subset (Mini-Kinetics: 200 classes, 80,000 and 5,000 videos) is two lists of YouTube ids. Listed ids that the CSV file
does not have count as missing too. Another kind of subset is a list of classes (Kinetics-Sounds: 31).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
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
    problems, videos, subset = Problems(), _Videos(config), config.subset
    rows = [
        *_split_rows(videos, "train", config.train, subset and subset.train, problems),
        *_split_rows(videos, "validation", config.validation, subset and subset.validation, problems),
    ]
    if config.test and not subset and not config.classes:
        rows += _split_rows(videos, "test", config.test, None, problems)
    classes = sorted(config.classes or {label for row in rows if row.split == "train" for label in row.labels})
    return Listing(config.train, config.videos, tuple(classes), rows, problems)


class _Videos:
    """Where the videos are: each folder is read once."""

    def __init__(self, config: KineticsAnnotations) -> None:
        self._config = config
        self._above = {split: _plain_folder(config, split, folder) for split, folder in config.folders.items()}
        self._unknown = not config.videos.exists()
        self._folders: dict[tuple[str, str], list[str]] = {}
        self._names: dict[str, frozenset[str]] = {}

    def wanted(self, label: str) -> bool:
        """Whether videos of a class are taken."""
        return not self._config.classes or label in self._config.classes

    def find(self, split: str, label: str, video_id: str) -> str | None:
        """Return the path of a video: in the folder of its class, or directly in that of its split; None: missing.

        Raises UnsafePathError where no folder can be called like the class.
        """
        name = video_id + self._config.extension
        folders = self._folders.get((split, label)) or self._folders_of(split, label)
        folder = folders[-1] if self._unknown else next((one for one in folders if name in self._names[one]), None)
        return None if folder is None else folder + name

    def _folders_of(self, split: str, label: str) -> list[str]:
        """Return the folders that a split's videos of a class may be in: "", or ending in a slash."""
        parts = [(self._above.get(split), part) for part in (label, label.replace(" ", "_"), None)]
        texts = ["/".join(filter(None, pair)) for pair in parts]
        folders = self._folders[split, label] = [f"{plain_path(text)}/" if text else "" for text in texts]
        for folder in folders:
            if folder not in self._names:
                self._names[folder] = self._listed(folder)
        return folders

    def _listed(self, folder: str) -> frozenset[str]:
        try:
            with os.scandir(self._config.videos / folder) as entries:
                return frozenset(entry.name for entry in entries)
        except OSError:
            return frozenset()


def _plain_folder(config: KineticsAnnotations, split: str, folder: str) -> str:
    try:
        return plain_path(folder)
    except UnsafePathError as error:
        hint = "name a folder inside annotations.videos"
        raise InputError(f"annotations.folders.{split}: {error}", file=config.videos, hint=hint) from None


def _split_rows(videos: _Videos, split: str, file: Path, subset: Path | None, problems: Problems) -> Iterator[Row]:
    """Yield the rows of a list, only those of a `subset` where that is given."""
    wanted = _read_ids(subset, problems) if subset else None
    columns = ("youtube_id", "time_start", "time_end", *(["label"] if split != "test" else []))
    found: set[str] = set()
    for place, fields in csv_rows(file, columns, problems, strict=True, hint=_HINT):
        youtube_id = fields["youtube_id"].strip()
        if wanted is None or youtube_id in wanted:
            found.add(youtube_id)
            if videos.wanted(fields.get("label", "").strip()):
                yield from _row(videos, split, fields, place, problems)
    for youtube_id, place in (wanted or {}).items():
        if youtube_id not in found:
            yield Row(youtube_id, youtube_id, split, (), place, missing=NOT_LISTED)


def _row(videos: _Videos, split: str, fields: Mapping[str, str], place: Place, problems: Problems) -> Iterator[Row]:
    youtube_id, label = fields["youtube_id"].strip(), fields.get("label", "").strip()
    start, end = (_SECONDS.fullmatch(fields[column].strip()) for column in ("time_start", "time_end"))
    if not (_ID.fullmatch(youtube_id) and start and end and (label or split == "test")):
        problems.add(Kind.MALFORMED, place, f"expected label, YouTube id and whole seconds, got {dict(fields)}")
        return
    video_id = f"{youtube_id}_{int(start[1]):06d}_{int(end[1]):06d}"
    try:
        path = videos.find(split, label, video_id)
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, f"label {label!r}: {error}")
    else:
        yield Row(video_id, path or video_id, split, (label,) if label else (), place, missing="" if path else NO_FILE)


def _read_ids(file: Path, problems: Problems) -> dict[str, Place]:
    """Return the place of each YouTube id in `file`."""
    places: dict[str, Place] = {}
    for place, line in text_lines(file, _HINT):
        if not _ID.fullmatch(line):
            problems.add(Kind.MALFORMED, place, f"expected a YouTube id of 11 characters, got {line!r}")
        elif places.setdefault(line, place) is not place:
            problems.add(Kind.TWICE, place, f"{line!r} is also at {places[line]}")
    return places
