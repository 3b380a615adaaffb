"""What the page shows, as plain data, and its rendering to one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from mml_core.report.strip import Strip
from mml_core.report.terms import TERMS

#: How text is coloured: classes of the page's style.
Tone = Literal["good", "bad", "neutral"]


@dataclass(frozen=True)
class Interval:
    """A percentage with the ends of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """Text of a table's cell; `interval` is drawn below it, `tone` colours it, `href` is where it leads."""

    text: str
    interval: Interval | None = None
    tone: Tone | None = None
    href: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table that can be sorted. `numeric` tells which columns hold numbers; `marked` is a row to point out."""

    headings: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[Cell]]
    marked: int | None = None


@dataclass(frozen=True)
class StageCurves:
    """Figures of one stage's training, and its accuracies at the last and the best epoch where there are some."""

    stage: str
    summary: str
    uris: Sequence[str]
    epochs: Grid | None


@dataclass(frozen=True)
class Confusion:
    """Where the best row of the table goes wrong."""

    row: str
    uri: str
    classes: Grid


@dataclass(frozen=True)
class Clip:
    """A sample video."""

    video_id: str
    truth: str
    prediction: str
    correct: bool
    strips: Sequence[Strip]


@dataclass(frozen=True)
class Quality:
    """Videos of each split, and those that could not be used."""

    splits: Grid
    quarantined: Grid


@dataclass(frozen=True)
class PaperTable:
    """A published table with our values; a table of pairs also has its matrix as a picture."""

    name: str
    heading: str
    grid: Grid
    matrix_uri: str | None


@dataclass(frozen=True)
class Claims:
    """What a paper states, and whether it holds here: `facts` are (name, number of claims)."""

    facts: Sequence[tuple[str, str]]
    grid: Grid
    notes: str


@dataclass(frozen=True)
class FigurePart:
    """A figure of the recipe: its picture, what it shows, and the numbers in it."""

    name: str
    title: str
    note: str
    uri: str
    grid: Grid


@dataclass(frozen=True)
class Page:
    """Everything on the page. `facts` are (name, value); `settings` are (stage, text); `chance` is in percent."""

    dataset: str
    recipe: str
    facts: Sequence[tuple[str, str]]
    table: Grid
    notes: str
    chance: float | None
    published: Sequence[PaperTable]
    claims: Claims | None
    curves: Sequence[StageCurves]
    confusion: Confusion | None
    clips: Sequence[Clip]
    figures: Sequence[FigurePart]
    wheel_uri: str
    quality: Quality
    settings: Sequence[tuple[str, str]]


def render_page(page: object, template: str = "report.html") -> str:
    """Return `page`, plain data, as HTML by a `template`. All its text is escaped; nothing is loaded from elsewhere."""
    environment = Environment(
        loader=PackageLoader("mml_core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["terms"] = TERMS
    return environment.get_template(template).render(page=page)


def text_grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Grid:
    """Return a grid of plain text; columns in which every filled cell begins with a number (`+1.5`) are numeric."""
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in headings]
    cells = [[Cell(text) for text in row] for row in rows]
    return Grid(headings, [_is_numeric(column) for column in columns], cells)


def _is_numeric(column: Sequence[str]) -> bool:
    filled = [text.split()[0] for text in column if text.strip()]
    return bool(filled) and all(text.lstrip("+-").replace(".", "", 1).isdigit() for text in filled)
