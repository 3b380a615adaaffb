"""What the pictures of figures share. Pure functions of their tables; numbers that a row lacks are not drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mml_core.report.figures import FAINT, INK, shorten

SIZE = (6.0, 3.8)  # inches
FONT_SIZE = 8  # points
DOTS_PER_INCH = 150
TITLES = {"top1": "top-1, %", "map": "mAP, %"}


def figure_axes(title: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """Return a figure of `size` inches with one pair of axes below `title`."""
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.add_subplot()
    # names are text, not formulas: a dollar sign is a dollar sign
    axes.set_title(shorten(title, 90), fontsize=FONT_SIZE + 1, color=INK, loc="left", parse_math=False)
    style_axes(axes)
    return drawn, axes


def style_axes(axes: Axes) -> None:
    """Give axes the looks of all figures."""
    axes.tick_params(colors=INK, labelsize=FONT_SIZE, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def draw_points(axes: Axes, places: np.ndarray, table: pd.DataFrame, metric: str, colours: Sequence[str]) -> None:
    """Draw the accuracies at `places`, where these are known, with their intervals, where they have some."""
    values, low, high = (numbers_of(table, f"{metric}{part}") for part in ("", "_low", "_high"))
    for place, value, ends, colour in zip(places, values, zip(low, high, strict=True), colours, strict=True):
        if not np.isfinite(place):
            continue
        reach = np.abs(np.array(ends) - value)[:, None] if np.isfinite(ends).all() else None
        axes.errorbar(place, value, yerr=reach, fmt="o", color=colour, markersize=4, elinewidth=1, capsize=2)


def draw_legend(drawn: Figure, place: str = "outside right upper") -> None:
    """Say what the labels of all axes are, at the `place` that Matplotlib calls so."""
    legend = drawn.legend(loc=place, fontsize=FONT_SIZE, frameon=False, labelcolor=INK)
    for text in legend.get_texts():
        text.set_parse_math(False)


def difference_words(row: pd.Series) -> str:
    """Return the difference of a class's row with its interval, or with the number of its videos where it has none."""
    if not row["low"]:
        return f"{row['difference']} ({row['videos']} videos)"
    return f"{row['difference']} [{row['low']}, {row['high']}]"


def metric_of(table: pd.DataFrame) -> str:
    """Return the measure of accuracy that a table has."""
    return "top1" if "top1" in table else "map"


def numbers_of(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return a column as numbers, NaN where it is empty or not there."""
    if column not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)


def stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return `pictures` (H, W, 3), uint8, below each other, white where one is narrower than the widest."""
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate(
        [np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255) for picture in pictures]
    )
