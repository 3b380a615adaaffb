"""The rows of the tables of doubles and of videos, and what is to be said about doubles before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: What parts the labels of a video in a table.
JOINT = "; "
ACROSS, DIFFERENT = "in two splits", "with other labels"


class Double(NamedTuple):
    """A row of the table of doubles, and its columns."""

    kind: str  # same, mirrored, or cut (which may be mirrored too)
    similarity: str  # correlation of what moves, to 1
    share: str  # of the longer one that both show
    video_a: str
    split_a: str
    labels_a: str
    video_b: str
    split_b: str
    labels_b: str
    warning: str  # in two splits, with other labels, both, or nothing


class SeenVideo(NamedTuple):
    """A row of the table of videos, and its columns."""

    video_id: str
    split: str
    labels: str
    group: str
    frames: str
    frame_rate: str  # frames a second; empty where the container does not say
    width: str  # of stored frames, pixels
    height: str
    change: str  # grey levels, see `Seen.change`
    still: str  # whether nearly nothing moves: yes, or nothing


def warnings(dataset: str, rows: Sequence[Double]) -> list[str]:
    """Return what is to be said about the doubles of a data set, the worst first; nothing where there is none."""
    told = []
    across = [row for row in rows if ACROSS in row.warning]
    other = [row for row in rows if DIFFERENT in row.warning]
    if across:
        told.append(
            f"warning: data set {dataset}: {_pairs(across)} show the same in two splits, so that results on those "
            f"held out are better than they should be, such as {_example(across[0])}"
        )
    if other:
        told.append(
            f"warning: data set {dataset}: {_pairs(other)} show the same with other labels, such as "
            f"{_example(other[0])}"
        )
    if rows:
        told.append(
            f"data set {dataset}: {_pairs(rows)} show the same; `mml doubles {dataset}` says how to leave them out of "
            "training, or to keep them together"
        )
    return told


def _pairs(rows: Sequence[Double]) -> str:
    return f"{len(rows)} pair{'s'[: len(rows) != 1]} of videos"


def _example(row: Double) -> str:
    ends = ((row.video_a, row.split_a, row.labels_a), (row.video_b, row.split_b, row.labels_b))
    first, second = (f"{video!r} ({split}, {labels})" for video, split, labels in ends)
    return f"{first} and {second}: {row.kind}"
