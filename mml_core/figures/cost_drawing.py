"""The picture of accuracies over GFLOPs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mml_core.config.scored_figures import CostFigure
from mml_core.figures.drawing import FONT_SIZE, TITLES, draw_legend, draw_points, figure_axes, metric_of, numbers_of
from mml_core.report.figures import COLOURS, INK, shorten


def cost_picture(table: pd.DataFrame, figure: CostFigure) -> Figure:
    """Return accuracies over GFLOPs a video with intervals, a number a row; a line joins the rows of `figure.line`."""
    drawn, axes = figure_axes(figure.title)
    metric = metric_of(table)
    places, values = numbers_of(table, "gflops_per_video"), numbers_of(table, metric)
    names = list(table["row"])
    joined = np.array([names.index(name) for name in figure.line], dtype=int)
    axes.plot(places[joined], values[joined], color=COLOURS[0], linewidth=1.2)
    colours = [COLOURS[0] if name in figure.line else COLOURS[1] for name in names]
    draw_points(axes, places, table, metric, colours)
    for number, (place, value, name, colour) in enumerate(zip(places, values, names, colours, strict=True), start=1):
        about = {"fontsize": FONT_SIZE, "color": colour, "parse_math": False}
        axes.annotate(str(number), (place, value), xytext=(5, 4), textcoords="offset points", **about)
        axes.plot([], [], linestyle="", marker="o", markersize=4, color=colour, label=f"{number}  {shorten(name, 60)}")
    draw_legend(drawn, "outside right upper")
    axes.margins(x=0.15, y=0.15)
    axes.set_xlim(left=0)
    axes.set_xlabel("GFLOPs a video", color=INK, fontsize=FONT_SIZE)
    axes.set_ylabel(TITLES[metric], color=INK, fontsize=FONT_SIZE)
    return drawn
