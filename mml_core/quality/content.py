"""What the page about a data set's videos shows, from the tables that the workflow made."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.data.quality import Quarantined
from mml_core.doubles.rows import JOINT, Double, SeenVideo
from mml_core.io.tables import read_rows
from mml_core.quality.histogram import Histogram, histogram
from mml_core.report.page import Grid, text_grid

#: Rows of a list that the page shows; the rest are in the CSV files.
LISTED = 200
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Listed:
    """A list on the page, its first rows: how many there are in all, and the file that has them."""

    grid: Grid
    total: int
    file: str


@dataclass(frozen=True)
class DatasetPart:
    """What the page says of one data set. `facts` are (name, value); `warnings` are sentences."""

    name: str
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    classes: Grid
    distributions: Sequence[Histogram]
    still: Listed
    doubles: Listed


@dataclass(frozen=True)
class QualityPage:
    """Everything on the page."""

    parts: Sequence[DatasetPart]
    quarantined: Listed


@dataclass(frozen=True)
class QualityFiles:
    """The tables of each data set by its name, and that of unusable videos of all."""

    videos: Mapping[str, Path]
    doubles: Mapping[str, Path]
    quarantined: Path
    multi_label: Collection[str] = ()  # data sets in which a video may have several labels


def make_quality_page(files: QualityFiles) -> QualityPage:
    """Return the content of the page; raises InputError naming the file that is at fault."""
    quarantined = read_rows(files.quarantined, Quarantined)
    parts = [
        dataset_part(
            name,
            read_rows(path, SeenVideo),
            read_rows(files.doubles[name], Double),
            multi_label=name in files.multi_label,
        )
        for name, path in files.videos.items()
    ]
    return QualityPage(parts, listed(Quarantined._fields, quarantined, "data_quality.csv"))


def dataset_part(
    name: str, videos: Sequence[SeenVideo], doubles: Sequence[Double], *, multi_label: bool = False
) -> DatasetPart:
    """Return what the page says of one data set; `multi_label`: whether a video of it may have several labels."""
    still = [(row.video_id, row.split, row.labels, row.frames, row.change) for row in videos if row.still]
    by_split = Counter(row.split for row in videos)
    facts = [(f"Videos for {split}", str(by_split[split])) for split in SPLITS if by_split[split]]
    counts = class_counts(videos, multi_label=multi_label)
    facts += [("Classes", str(len([name for name in counts if name]))), ("Nearly still", str(len(still)))]
    facts.append(("Pairs of doubles", str(len(doubles))))
    return DatasetPart(
        name,
        facts,
        [*_parted(videos), *_doubled(doubles)],
        class_grid(counts),
        _distributions(videos),
        listed(("Video", "Split", "Labels", "Frames", "Change"), still, f"{name}/videos.csv"),
        listed(Double._fields, doubles, f"{name}/doubles.csv"),
    )


def class_counts(videos: Sequence[SeenVideo], *, multi_label: bool) -> dict[str, Counter[str]]:
    """Return how many videos each class has, by split; those without a label are under the empty name."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in videos:
        for label in row.labels.split(JOINT) if multi_label else [row.labels]:  # a class may be called `a; b`
            counts[label][row.split] += 1
    return counts


def class_grid(counts: Mapping[str, Counter[str]]) -> Grid:
    """Return how many videos each class has in each split, those with the fewest for training first."""
    splits = [split for split in SPLITS if any(own[split] for own in counts.values())]
    order = sorted(counts, key=lambda label: (counts[label]["train"], label))
    rows = [[label or "(none)", *(str(counts[label][split]) for split in splits)] for label in order]
    return text_grid(["Class", *(split.capitalize() for split in splits)], rows)


def listed(columns: Sequence[str], rows: Sequence[Sequence[str]], file: str) -> Listed:
    """Return the first of `rows` as a list of the page; `file` has all of them."""
    headings = [column.replace("_", " ").capitalize() for column in columns]
    return Listed(text_grid(headings, [list(row) for row in rows[:LISTED]]), len(rows), file)


def _distributions(videos: Sequence[SeenVideo]) -> list[Histogram]:
    seconds = [float(row.frames) / float(row.frame_rate) for row in videos if row.frame_rate]
    return [
        one
        for one in (
            histogram("Length, seconds", seconds),
            histogram("Length, frames", [float(row.frames) for row in videos]),
            histogram("Frames a second", [float(row.frame_rate) for row in videos if row.frame_rate]),
            histogram("Width by height", [float(row.width) / float(row.height) for row in videos]),
            histogram("Change, grey levels", [float(row.change) for row in videos]),
        )
        if one is not None
    ]


def _parted(videos: Sequence[SeenVideo]) -> list[str]:
    """Return a warning where the given splits part groups."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in videos:
        if row.group:
            splits[row.group].add(row.split)
    parted = sorted(group for group, own in splits.items() if len(own) > 1)
    if not parted:
        return []
    return [f"{len(parted)} of {len(splits)} groups have videos in several splits, such as {parted[0]!r}"]


def _doubled(doubles: Sequence[Double]) -> list[str]:
    found = Counter(row.warning for row in doubles if row.warning)
    return [f"{count} pair{'s'[: count != 1]} of doubles {warning}" for warning, count in sorted(found.items())]
