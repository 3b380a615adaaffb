"""Faults of annotations, collected and thrown once: how many of each kind, the first few of each, and what to do."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import NamedTuple

from mml_core.errors import InputError

#: How many faults of a kind are shown; the rest is counted.
SHOWN = 5


class Kind(Enum):
    """Kinds of faults: title in the summary and hint."""

    MALFORMED = ("malformed entries", "compare with the example in config/datasets/")
    OUTSIDE = (
        "paths that leave the data folder, or that no file can have",
        "write paths relative to `videos`, without '..' and links to outside; where you trust whoever made the "
        "links, the key `follow_links: true` of the data set allows them",
    )
    TWICE = ("videos that occur twice", "keep one entry a video")
    TWO_SPLITS = ("videos in two splits", "training on what is tested on makes results worthless: keep one of the two")
    LINKED = (
        "files that two splits share through links",
        "training on what is tested on makes results worthless: take one of the two out",
    )
    UNKNOWN_SPLIT = ("unknown splits", "list each value of the split column under `splits`")
    NO_GROUP = (
        "videos without a group",
        "annotations.group.parent counts folders between the video and its class; annotations.group.pattern must match",
    )
    UNKNOWN_LABEL = ("unknown labels", "correct the label, or add it to the list of classes")
    ALIKE = (
        "classes whose names look alike",
        "write them in one way: they count as different classes otherwise",
    )
    UNKNOWN_EXCLUDED = ("excluded labels that no video has", "correct `exclude_labels`")
    NO_LABEL = ("videos without a label", "only videos of the test split may have none, unless multi_label is true")
    EMPTY_CLASS = ("classes without a training video", "add videos, or take the class out")
    EMPTY_TRAIN = ("empty splits", "at least one video must be in the train split")
    STRAY = (
        "stray entries in the folders",
        "videos lie directly in the folder of their class; names with a dot are skipped",
    )
    MISSING = ("missing videos", "add the files, correct `videos`, or take the entries out")


class Place(NamedTuple):
    """Where an entry is: the file, its line from 1 and, in a list, its number from 1 (0: has none)."""

    file: Path
    line: int = 0
    entry: int = 0

    def __str__(self) -> str:
        parts = [str(self.file)]
        parts += [f"entry {self.entry}"] if self.entry else []
        parts += [f"line {self.line}"] if self.line else []
        return ", ".join(parts)


class Problems:
    """The faults found so far, by kind."""

    def __init__(self) -> None:
        self._shown: dict[Kind, list[str]] = {}
        self._counts: dict[Kind, int] = {}

    def add(self, kind: Kind, place: Place, message: str) -> None:
        """Note the fault `message` at `place`."""
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count <= SHOWN:
            self._shown.setdefault(kind, []).append(f"{place}: {message}")

    def __len__(self) -> int:
        return sum(self._counts.values())

    def raise_if_any(self, source: Path) -> None:
        """Raise one InputError about `source` that sums up all faults, kinds in the order of `Kind`."""
        if not self._counts:
            return
        lines = [f"{len(self)} fault(s) in the annotations:"]
        for kind in Kind:
            if kind in self._counts:
                lines += self._section(kind)
        raise InputError("\n".join(lines), file=source)

    def _section(self, kind: Kind) -> list[str]:
        title, hint = kind.value
        count, shown = self._counts[kind], self._shown[kind]
        rest = [f"      … and {count - len(shown)} more"] if count > len(shown) else []
        return [f"  {count} {title} (hint: {hint})", *(f"      {line}" for line in shown), *rest]
