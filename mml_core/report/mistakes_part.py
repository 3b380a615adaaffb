"""What the recommended row gets wrong: classes, confusions and players, as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.report.clips_index import ClipsIndex, OfClass
from mml_core.report.page import Cell, Grid, text_grid
from mml_core.report.player_views import ClassView, anchor, class_views, confidence_told

#: With more classes there is no matrix, but the list of the commonest confusions alone.
MATRIX_CLASSES = 15
LISTED_PAIRS = 30


@dataclass(frozen=True)
class MatrixCell:
    """Videos of a row's class that are taken for a column's: their number, and its share of the row, 0..1."""

    videos: int
    share: float
    title: str
    right: bool
    href: str | None


@dataclass(frozen=True)
class MatrixRow:
    """A row of the matrix."""

    name: str
    cells: Sequence[MatrixCell]


@dataclass(frozen=True)
class Mistakes:
    """What is wrong; where there is nothing to show, `reason` says why."""

    row: str
    multi_label: bool
    confidence: str  # what it means
    sound: bool  # whether some player has any
    wrong: int
    videos: int
    shown: int
    folder: str
    matrix: Sequence[MatrixRow]
    pairs: Grid | None
    by_class: Grid | None
    classes: Sequence[ClassView]
    without_maps: Sequence[tuple[str, str]]
    reason: str


def mistakes_part(index: ClipsIndex, folder: Path, address: str) -> Mistakes:
    """Return what the page shows of `index`, that of `folder`, which the page finds at `address`.

    Raises InputError where a player or its picture is missing.
    """
    links = {pair: f"#{anchor(*pair)}" for pair in ((one.truth, one.prediction) for one in index.players)}
    return Mistakes(
        row=index.row,
        multi_label=index.multi_label,
        confidence=confidence_told(index.calibration) if index.calibration else "",
        sound=any(player.sound for player in index.players),
        wrong=index.wrong,
        videos=index.videos,
        shown=len(index.players),
        folder=address,
        matrix=_matrix(index, links),
        pairs=_pairs_grid(index, links),
        by_class=_class_grid(index, links),
        classes=class_views(index, folder, address),
        without_maps=list(index.without_maps.items()),
        reason=index.reason,
    )


def _matrix(index: ClipsIndex, links: Mapping[tuple[int, int], str]) -> list[MatrixRow]:
    if not index.results or index.multi_label or len(index.classes) > MATRIX_CLASSES:
        return []
    results = {result.label: result for result in index.results}
    return [
        MatrixRow(name, [_cell(index, results.get(label), label, other, links) for other in range(len(index.classes))])
        for label, name in enumerate(index.classes)
    ]


def _cell(
    index: ClipsIndex, result: OfClass | None, label: int, other: int, links: Mapping[tuple[int, int], str]
) -> MatrixCell:
    counts = {} if result is None else {label: result.right, **dict(result.taken_for)}
    videos = counts.get(other, 0)
    title = f"{index.classes[label]} taken for {index.classes[other]}: {videos}"
    share = videos / result.videos if result else 0.0
    return MatrixCell(videos, share, title, label == other, links.get((label, other)))


def _pairs_grid(index: ClipsIndex, links: Mapping[tuple[int, int], str]) -> Grid | None:
    """Return the commonest confusions, each with the way to its players."""
    found = [(count, one.label, other) for one in index.results for other, count in one.taken_for]
    chosen = sorted(found, key=lambda pair: (-pair[0], pair[1:]))[:LISTED_PAIRS]
    if not chosen:
        return None
    plain = text_grid(
        ("Label", "Behind", "Videos") if index.multi_label else ("True class", "Taken for", "Videos"),
        [(index.classes[label], index.classes[other], str(count)) for count, label, other in chosen],
    )
    rows = [
        [cells[0], Cell(cells[1].text, href=links.get((label, other))), cells[2]]
        for (_, label, other), cells in zip(chosen, plain.rows, strict=True)
    ]
    return Grid(plain.headings, plain.numeric, rows)


def _class_grid(index: ClipsIndex, links: Mapping[tuple[int, int], str]) -> Grid | None:
    """Return the classes, the worst first, each with its commonest mistake."""
    if not index.results:
        return None
    rows = []
    for one in index.results:
        other, count = one.taken_for[0] if one.taken_for else (None, 0)
        mistake = (
            Cell("") if other is None else Cell(f"{index.classes[other]} ({count})", href=links.get((one.label, other)))
        )
        share = f"{100 * (one.right / one.videos if one.average_precision is None else one.average_precision):.1f}"
        rows.append([Cell(index.classes[one.label]), Cell(str(one.videos)), Cell(share), mistake])
    what = (
        ("Average precision, %", "Most often behind") if index.multi_label else ("Correct, %", "Most often taken for")
    )
    return Grid(("Class", "Videos", *what), (False, True, True, False), rows)
