"""What annotations are, once checked, and what the readers of each format hand to the checks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mml_core.annotations.problems import Place, Problems


class Segment(NamedTuple):
    """A class that a part of a video shows, both ends included; no moment where the end is before the start."""

    label: int  #: class index
    start_sec: float
    end_sec: float


@dataclass(frozen=True, slots=True)
class Video:
    """A video with its labels."""

    video_id: str
    path: str  #: POSIX path below `Annotations.root`, without `..`
    split: str  #: train, validation or test
    labels: tuple[int, ...]  #: class indices, ascending; empty for unlabelled test videos
    #: When each of the labels holds, ascending; empty where that is unknown: each then holds for the whole video.
    segments: tuple[Segment, ...] = ()
    #: What it shares with other videos, as a recording session or a person; empty where it shares nothing known.
    group: str = ""
    #: The part of its file that it is, in seconds, the end not included; None: all of it.
    span_sec: tuple[float, float] | None = None


class MissingVideo(NamedTuple):
    """A video that the annotations list and that is not there, where that is no fault of the data set."""

    split: str
    video_id: str
    path: str
    reason: str


@dataclass(frozen=True)
class Annotations:
    """All videos of a data set: no id twice, no path outside `root`, every label known."""

    classes: tuple[str, ...]  #: names in the order of a network's outputs
    root: Path
    videos: tuple[Video, ...]  #: sorted by (split, video_id)
    missing: tuple[MissingVideo, ...] = ()  #: sorted; none of them is among `videos`
    frame_folders: bool = False  #: whether a video is a folder of frames, not a file
    #: Files beside the videos that are not taken for videos, in words; empty where there are none.
    passed_over: str = field(default="", compare=False)


class Row(NamedTuple):
    """A video as its annotation file has it: the path is plain (no `..`, not absolute), nothing else is checked."""

    video_id: str
    path: str
    split: str
    labels: tuple[str, ...]
    place: Place
    segments: tuple[tuple[str, float, float], ...] = ()  #: (label, start, end) in seconds, of labels with times
    missing: str = ""  #: why it is not there, where that is no fault
    group: str = ""  #: see Video.group
    span_sec: tuple[float, float] | None = None  #: see Video.span_sec


@dataclass
class Listing:
    """What the reader of a format found."""

    source: Path  #: file or folder that the summary of all problems names
    root: Path
    classes: tuple[str, ...]
    rows: list[Row]
    problems: Problems = field(default_factory=Problems)
    frame_folders: bool = False  #: whether a video is a folder of frames, not a file
    #: How many files in the folders of the classes were not taken for videos, by their endings in lower case.
    other_endings: Counter[str] = field(default_factory=Counter)


def passed_over(endings: Counter[str], most: int = 8) -> str:
    """Return in words how many files there are of each of `endings`, of the `most` common ones each."""
    common = endings.most_common(most)
    told = [f"{count} {ending or 'without an ending'}" for ending, count in common]
    rest = endings.total() - sum(count for _, count in common)
    return ", ".join(told + ([f"{rest} others"] if rest else []))
