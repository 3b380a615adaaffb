"""From the rows of any format to checked annotations."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping

from mml_core.annotations.alike import check_alike
from mml_core.annotations.paths import check_files
from mml_core.annotations.problems import SHOWN, Kind, Place
from mml_core.annotations.types import Annotations, Listing, MissingVideo, Row, Segment, Video, passed_over


def checked(listing: Listing, *, multi_label: bool, with_files: bool, follow_links: bool = False) -> Annotations:
    """Return the annotations in `listing`; all faults found are raised as one InputError.

    `with_files` also looks for every video on the disk; without it the disk is left alone. `follow_links`: see
    `check_files`.
    """
    index = {name: number for number, name in enumerate(listing.classes)}
    unique = _check_unique(listing)
    check_alike(listing)
    rows = [row for row in unique if not row.missing]
    missing = [MissingVideo(row.split, row.video_id, row.path, row.missing) for row in unique if row.missing]
    _check_labels(listing, rows, index, multi_label)
    _check_training(listing, rows)
    _check_left(listing, rows, missing)
    if with_files and rows:
        check_files(listing.root, rows, listing.problems, folders=listing.frame_folders, follow_links=follow_links)
    listing.problems.raise_if_any(listing.source)
    videos = [
        Video(
            row.video_id,
            row.path,
            row.split,
            _indices(row.labels, index),
            _segments(row, index),
            row.group,
            row.span_sec,
        )
        for row in rows
    ]
    videos.sort(key=lambda video: (video.split, video.video_id))
    return Annotations(
        listing.classes,
        listing.root,
        tuple(videos),
        tuple(sorted(missing)),
        listing.frame_folders,
        passed_over(listing.other_endings),
    )


def _indices(labels: tuple[str, ...], index: Mapping[str, int]) -> tuple[int, ...]:
    return (index[labels[0]],) if len(labels) == 1 else tuple(sorted({index[label] for label in labels}))


def _segments(row: Row, index: Mapping[str, int]) -> tuple[Segment, ...]:
    return tuple(sorted(Segment(index[label], start, end) for label, start, end in row.segments))


def _check_unique(listing: Listing) -> list[Row]:
    """Return the rows without repetitions, of a path (ids may spell it in other ways) and span, or of an id."""
    first: dict[tuple[str, tuple[float, float] | None], Row] = {}
    by_id: dict[str, Row] = {}
    for row in listing.rows:
        known = first.get((row.path, row.span_sec)) or by_id.setdefault(row.video_id, row)
        if known is row:
            first[row.path, row.span_sec] = row
        else:
            kind = Kind.TWICE if known.split == row.split else Kind.TWO_SPLITS
            splits = row.split if known.split == row.split else f"{row.split} here, {known.split} there"
            listing.problems.add(kind, row.place, f"{row.video_id!r} ({splits}) is also at {known.place}")
    return list(first.values())


def _check_labels(listing: Listing, rows: list[Row], index: Mapping[str, int], multi_label: bool) -> None:
    unknown: dict[str, list[Place]] = {}
    for row in rows:
        if not row.labels and not multi_label and row.split != "test":
            listing.problems.add(Kind.NO_LABEL, row.place, f"{row.video_id!r} has no label")
        for label in row.labels:
            if label not in index:
                unknown.setdefault(label, []).append(row.place)
    for number, (label, places) in enumerate(unknown.items()):
        # Looking for a similar name is slow, and pointless for what is not shown.
        near = difflib.get_close_matches(label, listing.classes, n=1) if number < SHOWN else []
        advice = f"; did you mean {near[0]!r}?" if near else ""
        listing.problems.add(Kind.UNKNOWN_LABEL, places[0], f"{label!r} ({len(places)} video(s)){advice}")


def _check_left(listing: Listing, rows: list[Row], missing: list[MissingVideo]) -> None:
    """Where all videos of a split are missing they are not gone, but somewhere else."""
    left = {row.split for row in rows}
    lost = Counter(video.split for video in missing if video.split not in left)
    for split, count in lost.items():
        place = Place(listing.root)
        listing.problems.add(Kind.MISSING, place, f"none of the {count} videos of split {split} is there")


def _check_training(listing: Listing, rows: list[Row]) -> None:
    trained = {label for row in rows if row.split == "train" for label in row.labels}
    place, others = Place(listing.source), passed_over(listing.other_endings)
    told = f"; passed over: {others}" if others else ""
    if not any(row.split == "train" for row in rows):
        listing.problems.add(Kind.EMPTY_TRAIN, place, f"no video is in the train split{told}")
        return
    for name in listing.classes:
        if name not in trained:
            listing.problems.add(Kind.EMPTY_CLASS, place, f"{name!r} has no video in the train split{told}")
