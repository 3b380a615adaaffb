"""The picture of accuracies over what networks differ by."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mml_core.config.scored_figures import CurveFigure
from mml_core.figures.drawing import FONT_SIZE, TITLES, draw_points, figure_axes, metric_of, numbers_of
from mml_core.report.figures import COLOURS, INK, shorten


def curve_picture(table: pd.DataFrame, figure: CurveFigure) -> Figure:
    """Return the accuracies over x with their intervals; a line joins those whose x is a number."""
    drawn, axes = figure_axes(figure.title)
    metric = metric_of(table)
    numbers = [not isinstance(point.x, str) for point in figure.points]
    to_scale = all(numbers)
    places = np.array([point.x for point in figure.points]) if to_scale else np.arange(len(figure.points), dtype=float)
    values = numbers_of(table, metric)
    joined = np.array(numbers)
    axes.plot(places[joined], values[joined], color=COLOURS[0], linewidth=1.2)
    draw_points(axes, places, table, metric, [COLOURS[0]] * len(places))
    if not to_scale:
        labels = [shorten(point.label) for point in figure.points]
        axes.set_xticks(places, labels, parse_math=False)
    axes.set_xlabel(figure.x_label, color=INK, fontsize=FONT_SIZE, parse_math=False)
    axes.set_ylabel(TITLES[metric], color=INK, fontsize=FONT_SIZE)
    return drawn
