"""The picture of accuracies over seconds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mml_core.figures.drawing import FONT_SIZE, TITLES, draw_points, figure_axes, metric_of, numbers_of
from mml_core.report.figures import COLOURS, INK, shorten


def speed_picture(table: pd.DataFrame, title: str) -> Figure:
    """Return the accuracies over seconds a video, modalities and networks, on a logarithmic axis.

    Rows whose seconds are not known are dashed lines at their accuracy.
    """
    drawn, axes = figure_axes(title)
    metric = metric_of(table)
    seconds = numbers_of(table, "seconds_modalities") + numbers_of(table, "seconds_networks")
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(table))]
    draw_points(axes, seconds, table, metric, colours)
    for place, value, name, colour in zip(seconds, numbers_of(table, metric), table["row"], colours, strict=True):
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
