"""The picture of classes that gain and lose."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mml_core.config.scored_figures import ClassesFigure
from mml_core.figures.drawing import FONT_SIZE, SIZE, TITLES, difference_words, draw_legend, figure_axes, numbers_of
from mml_core.report.figures import COLOURS, FAINT, INK, shorten

#: Inches that the name of a class needs below the axis, and that a bar needs.
NAME_ROOM, BAR_ROOM = 0.42, 0.16


def classes_picture(table: pd.DataFrame, figure: ClassesFigure) -> Figure:
    """Return bars of all rows for each class, those that gain on the left; below are differences and intervals."""
    groups = list(table.groupby("class", sort=False))
    names = list(figure.rows)
    room = len(groups) * max(NAME_ROOM, BAR_ROOM * (len(names) + 1))
    drawn, axes = figure_axes(figure.title, (max(SIZE[0], room), SIZE[1] + 0.6))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        own = table[table["row"] == name]
        places = np.arange(len(own)) + (number - (len(names) - 1) / 2) * width
        axes.bar(places, numbers_of(own, "top1"), width, color=COLOURS[number % len(COLOURS)], label=shorten(name))
    labels = [f"{shorten(name, 24)}\n{difference_words(rows.iloc[0])}" for name, rows in groups]
    axes.set_xticks(range(len(groups)), labels, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    gains = sum(rows["change"].iloc[0] == "gain" for _, rows in groups)
    axes.axvline(gains - 0.5, color=FAINT, linewidth=1)
    axes.set_ylabel(TITLES["top1"], color=INK, fontsize=FONT_SIZE)
    draw_legend(drawn)
    return drawn
