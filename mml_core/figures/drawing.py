"""Pictures of figures. Pure functions of their tables; numbers that a row lacks are not drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mml_core.config.figures import ClassesFigure, CurveFigure
from mml_core.report.figures import COLOURS, FAINT, INK, shorten

SIZE = (6.0, 3.8)  # inches
FONT_SIZE = 8  # points
DOTS_PER_INCH = 150
TITLES = {"top1": "top-1, %", "map": "mAP, %"}


def curve_picture(table: pd.DataFrame, figure: CurveFigure) -> Figure:
    """Return the accuracies over x with their intervals; a line joins those whose x is a number."""
    drawn, axes = _axes(figure.title)
    metric = _metric(table)
    numbers = [not isinstance(point.x, str) for point in figure.points]
    to_scale = all(numbers)
    places = np.array([point.x for point in figure.points]) if to_scale else np.arange(len(figure.points), dtype=float)
    values = _numbers(table, metric)
    joined = np.array(numbers)
    axes.plot(places[joined], values[joined], color=COLOURS[0], linewidth=1.2)
    _points(axes, places, table, metric, [COLOURS[0]] * len(places))
    if not to_scale:
        labels = [shorten(point.label) for point in figure.points]
        axes.set_xticks(places, labels, parse_math=False)
    axes.set_xlabel(figure.x_label, color=INK, fontsize=FONT_SIZE, parse_math=False)
    axes.set_ylabel(TITLES[metric], color=INK, fontsize=FONT_SIZE)
    return drawn


def speed_picture(table: pd.DataFrame, title: str) -> Figure:
    """Return the accuracies over seconds a video, modalities and networks, on a logarithmic axis.

    Rows whose seconds are not known are dashed lines at their accuracy.
    """
    drawn, axes = _axes(title)
    metric = _metric(table)
    seconds = _numbers(table, "seconds_modalities") + _numbers(table, "seconds_networks")
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(table))]
    _points(axes, seconds, table, metric, colours)
    for place, value, name, colour in zip(seconds, _numbers(table, metric), table["row"], colours, strict=True):
        about = {"fontsize": FONT_SIZE, "color": colour, "parse_math": False}
        if np.isfinite(place):
            axes.annotate(shorten(name), (place, value), xytext=(5, 4), textcoords="offset points", **about)
        else:
            axes.axhline(value, color=colour, linestyle="dashed", linewidth=1)
            text = f"{shorten(name)} (time not known)"
            axes.annotate(text, (0, value), xycoords=("axes fraction", "data"), va="bottom", **about)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.15)
    devices = ", ".join(dict.fromkeys(table["device"]))
    axes.set_xlabel(f"seconds a video ({devices})", color=INK, fontsize=FONT_SIZE, parse_math=False)
    axes.set_ylabel(TITLES[metric], color=INK, fontsize=FONT_SIZE)
    return drawn


def classes_picture(table: pd.DataFrame, figure: ClassesFigure) -> Figure:
    """Return bars of all rows for each class, those that gain on the left; below are differences and intervals."""
    groups = list(table.groupby("class", sort=False))
    names = list(figure.rows)
    drawn, axes = _axes(figure.title, (max(SIZE[0], 0.4 * len(groups) * (len(names) + 1)), SIZE[1] + 0.6))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        own = table[table["row"] == name]
        places = np.arange(len(own)) + (number - (len(names) - 1) / 2) * width
        axes.bar(places, _numbers(own, "top1"), width, color=COLOURS[number % len(COLOURS)], label=shorten(name))
    labels = [f"{shorten(name, 24)}\n{_difference(rows.iloc[0])}" for name, rows in groups]
    axes.set_xticks(range(len(groups)), labels, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    gains = sum(rows["change"].iloc[0] == "gain" for _, rows in groups)
    axes.axvline(gains - 0.5, color=FAINT, linewidth=1)
    axes.set_ylabel(TITLES["top1"], color=INK, fontsize=FONT_SIZE)
    legend = drawn.legend(loc="outside right upper", fontsize=FONT_SIZE, frameon=False, labelcolor=INK)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return drawn


def stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return `pictures` (H, W, 3), uint8, below each other, white where one is narrower than the widest."""
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate(
        [np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255) for picture in pictures]
    )


def _axes(title: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.add_subplot()
    # names are text, not formulas: a dollar sign is a dollar sign
    axes.set_title(shorten(title, 90), fontsize=FONT_SIZE + 1, color=INK, loc="left", parse_math=False)
    axes.tick_params(colors=INK, labelsize=FONT_SIZE, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    return drawn, axes


def _points(axes: Axes, places: np.ndarray, table: pd.DataFrame, metric: str, colours: Sequence[str]) -> None:
    """Draw the accuracies at `places`, where these are known, with their intervals, where they have some."""
    values, low, high = (_numbers(table, f"{metric}{part}") for part in ("", "_low", "_high"))
    for place, value, ends, colour in zip(places, values, zip(low, high, strict=True), colours, strict=True):
        if not np.isfinite(place):
            continue
        reach = np.abs(np.array(ends) - value)[:, None] if np.isfinite(ends).all() else None
        axes.errorbar(place, value, yerr=reach, fmt="o", color=colour, markersize=4, elinewidth=1, capsize=2)


def _metric(table: pd.DataFrame) -> str:
    return "top1" if "top1" in table else "map"


def _numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return a column as numbers, NaN where it is empty or not there."""
    if column not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)


def _difference(row: pd.Series) -> str:
    if not row["low"]:
        return f"{row['difference']} ({row['videos']} videos)"
    return f"{row['difference']} [{row['low']}, {row['high']}]"
