"""The picture of pairs of classes that are confused less and more."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mml_core.config.scored_figures import ConfusionsFigure
from mml_core.figures.drawing import FONT_SIZE, SIZE, difference_words, draw_legend, figure_axes, numbers_of
from mml_core.report.figures import COLOURS, FAINT, INK, shorten

#: Inches of a pair's two bars, and of what is around all of them.
ROOM, AROUND = 0.34, 1.4
LONGEST_NAME = 24


def confusions_picture(table: pd.DataFrame, figure: ConfusionsFigure) -> Figure:
    """Return two bars a pair of classes, before and after, with differences; what falls is above what rises."""
    drawn, axes = figure_axes(figure.title, (SIZE[0] + 1, max(SIZE[1], ROOM * len(table) + AROUND)))
    axes.grid(visible=False)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    places = np.arange(len(table))
    for side, members, shift, colour in (
        ("before", figure.before, -0.2, COLOURS[0]),
        ("after", figure.after, 0.2, COLOURS[1]),
    ):
        axes.barh(places + shift, numbers_of(table, side), 0.4, color=colour, label=f"{side}: {shorten(members)}")
    ends = np.maximum(numbers_of(table, "before"), numbers_of(table, "after"))
    for place, end, (_, row) in zip(places, ends, table.iterrows(), strict=True):
        words = {"fontsize": FONT_SIZE, "color": INK, "va": "center", "parse_math": False}
        axes.annotate(difference_words(row), (end, place), xytext=(4, 0), textcoords="offset points", **words)
    labels = [
        f"{shorten(row['class'], LONGEST_NAME)} → {shorten(row['taken_for'], LONGEST_NAME)}"
        for _, row in table.iterrows()
    ]
    axes.set_yticks(places, labels, parse_math=False)
    for place in np.flatnonzero(table["change"].ne(table["change"].shift())):
        axes.axhline(place - 0.5, color=FAINT, linewidth=1)
    axes.set_ylim(max(len(table), 1) - 0.5, -0.5)
    axes.set_xlabel("share of the class's videos, %", color=INK, fontsize=FONT_SIZE)
    draw_legend(drawn, "outside lower left")
    return drawn
