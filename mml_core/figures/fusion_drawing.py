"""The picture of accuracies over the weights of two networks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mml_core.config.scored_figures import FusionFigure
from mml_core.figures.drawing import FONT_SIZE, SIZE, TITLES, draw_legend, figure_axes, metric_of, numbers_of
from mml_core.report.figures import COLOURS, INK, shorten

#: Inches that the weights of a pair of networks need below the axis.
ROOM = 0.3
#: Of the lines that come after as many as there are colours.
STYLES = ("solid", "dashed")


def fusion_picture(table: pd.DataFrame, figure: FusionFigure) -> Figure:
    """Return a line a pair over evenly spaced weights, with a band where its values have intervals."""
    drawn, axes = figure_axes(figure.title, (max(SIZE[0], ROOM * len(figure.weights) + 2), SIZE[1]))
    metric = metric_of(table)
    places = np.arange(len(figure.weights))
    for number, name in enumerate(figure.pairs):
        own = table[table["row"] == name]
        late, colour = divmod(number, len(COLOURS))
        values, low, high = (numbers_of(own, f"{metric}{part}") for part in ("", "_low", "_high"))
        looks = {"color": COLOURS[colour], "linestyle": STYLES[late], "linewidth": 1.4, "marker": "o", "markersize": 3}
        axes.plot(places, values, label=shorten(name), **looks)
        axes.fill_between(places, low, high, color=COLOURS[colour], alpha=0.1, linewidth=0)
    labels = [f"{first:g}:{second:g}" for first, second in figure.weights]
    axes.set_xticks(places, labels, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_xlabel(f"weights of the {figure.fusion}, first:second", color=INK, fontsize=FONT_SIZE)
    axes.set_ylabel(TITLES[metric], color=INK, fontsize=FONT_SIZE)
    draw_legend(drawn)
    return drawn
