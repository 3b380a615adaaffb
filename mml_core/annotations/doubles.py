"""Videos that show the same, as a table says, and leaving those out that training must not see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mml_core.annotations.csv_rows import csv_rows
from mml_core.annotations.problems import Problems
from mml_core.annotations.types import Annotations, MissingVideo
from mml_core.errors import InputError

_HINT = "it is a CSV file with the columns video_a, video_b and kind, as `mml doubles` writes it"
#: Of two doubles the one of the split that stands first here stays.
_GUARDED = ("test", "validation", "train")


class Pair(NamedTuple):
    """Two videos that show the same, by id, and how: same, mirrored or cut."""

    video_a: str
    video_b: str
    kind: str


def read_pairs(table: Path) -> list[Pair]:
    """Return the pairs of videos in `table`, CSV; raises InputError where it is none."""
    problems = Problems()
    rows = csv_rows(table, Pair._fields, problems, strict=True, hint=_HINT)
    pairs = [Pair(*(fields[name] for name in Pair._fields)) for _, fields in rows]
    problems.raise_if_any(table)
    return pairs


def without_doubles(annotations: Annotations, pairs: Iterable[Pair], source: Path) -> Annotations:
    """Return `annotations` without the videos that are a double of one in a more guarded split.

    Test is guarded from validation and training, validation from training. What is left out is told of as missing.
    Raises InputError, naming `source`, where a class then has no training video.
    """
    split_of = {video.video_id: video.split for video in annotations.videos}
    reasons: dict[str, str] = {}
    for pair in pairs:
        if pair.video_a not in split_of or pair.video_b not in split_of:
            continue
        stays, goes = sorted(pair[:2], key=lambda name: _GUARDED.index(split_of[name]))
        if split_of[stays] != split_of[goes]:
            reasons.setdefault(goes, f"left out: double ({pair.kind}) of {stays!r}, which is in {split_of[stays]}")
    left = tuple(video for video in annotations.videos if video.video_id not in reasons)
    trained = {label for video in left if video.split == "train" for label in video.labels}
    if lost := [name for number, name in enumerate(annotations.classes) if number not in trained]:
        raise InputError(
            f"without the doubles in it, {len(lost)} class(es) have no training video: {', '.join(lost[:5])}",
            file=source,
            hint="add videos, or delete rows of pairs that are none",
        )
    gone = (video for video in annotations.videos if video.video_id in reasons)
    told = (MissingVideo(video.split, video.video_id, video.path, reasons[video.video_id]) for video in gone)
    missing = tuple(sorted([*annotations.missing, *told]))
    return replace(annotations, videos=left, missing=missing)
