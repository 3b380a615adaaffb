"""What the recommended row gets wrong: classes, confusions and players, as the page shows them."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.errors import InputError
from mml_core.report.clips_index import ClipsIndex, OfClass, Player
from mml_core.report.page import Cell, Grid, text_grid

#: With more classes there is no matrix, but the list of the commonest confusions alone.
MATRIX_CLASSES = 15
LISTED_PAIRS = 30
JPEG_SIGNATURE = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Caption:
    """What a tile of a player shows, and where it is in the picture, in percent."""

    text: str
    left: float
    top: float


@dataclass(frozen=True)
class PlayerView:
    """A player."""

    address: str
    poster_uri: str
    video_id: str
    truth: str
    prediction: str
    confidence: str
    truth_confidence: str
    captions: Sequence[Caption]
    height: int
    width: int
    speed: str


@dataclass(frozen=True)
class PairView:
    """Videos of a class that are taken for one other class: so many, and players of some."""

    anchor: str
    prediction: str
    videos: int
    players: Sequence[PlayerView]


@dataclass(frozen=True)
class ClassView:
    """A class with mistakes that players show."""

    name: str
    videos: int
    right: int
    pairs: Sequence[PairView]


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

    Raises InputError where a picture of a player is missing.
    """
    by_pair: dict[tuple[int, int], list[Player]] = defaultdict(list)
    for player in index.players:
        by_pair[player.truth, player.prediction].append(player)
    links = {pair: f"#{_anchor(*pair)}" for pair in by_pair}
    return Mistakes(
        row=index.row,
        wrong=index.wrong,
        videos=index.videos,
        shown=len(index.players),
        folder=address,
        matrix=_matrix(index, links),
        pairs=_pairs_grid(index, links),
        by_class=_class_grid(index, links),
        classes=_class_views(index, by_pair, folder, address),
        without_maps=list(index.without_maps.items()),
        reason=index.reason,
    )


def _anchor(truth: int, prediction: int) -> str:
    return f"pair-{truth}-{prediction}"


def _class_views(
    index: ClipsIndex, by_pair: Mapping[tuple[int, int], Sequence[Player]], folder: Path, address: str
) -> list[ClassView]:
    views = []
    for result in index.results:
        pairs = [
            PairView(
                _anchor(result.label, other),
                index.classes[other],
                count,
                [_player_view(index, one, folder, address) for one in by_pair[result.label, other]],
            )
            for other, count in result.taken_for
            if (result.label, other) in by_pair
        ]
        if pairs:
            views.append(ClassView(index.classes[result.label], result.videos, result.right, pairs))
    return views


def _player_view(index: ClipsIndex, player: Player, folder: Path, address: str) -> PlayerView:
    rows = -(-len(player.captions) // player.columns)
    captions = [
        Caption(text, 100 * (place % player.columns) / player.columns, 100 * (place // player.columns) / rows)
        for place, text in enumerate(player.captions)
    ]
    return PlayerView(
        address=f"{address}/{player.file}",
        poster_uri=_jpeg_uri(folder / player.poster),
        video_id=player.video_id,
        truth=index.classes[player.truth],
        prediction=index.classes[player.prediction],
        confidence=f"{100 * player.confidence:.0f} %",
        truth_confidence=f"{100 * player.truth_confidence:.0f} %",
        captions=captions,
        height=player.size[0],
        width=player.size[1],
        speed="" if player.speed < 1.05 else f"{player.speed:.3g} times as fast as the video",
    )


def _jpeg_uri(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read as a picture ({error})", file=path) from error
    if not content.startswith(JPEG_SIGNATURE):
        raise InputError("is no JPEG picture", file=path)
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def _matrix(index: ClipsIndex, links: Mapping[tuple[int, int], str]) -> list[MatrixRow]:
    if not index.results or len(index.classes) > MATRIX_CLASSES:
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
        ("True class", "Taken for", "Videos"),
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
        share = f"{100 * one.right / one.videos:.1f}"
        rows.append([Cell(index.classes[one.label]), Cell(str(one.videos)), Cell(share), mistake])
    return Grid(("Class", "Videos", "Correct, %", "Most often taken for"), (False, True, True, False), rows)
