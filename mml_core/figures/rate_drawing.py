"""The picture of rates."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mml_core.figures.drawing import FONT_SIZE, draw_legend, figure_axes, numbers_of
from mml_core.report.figures import COLOURS, FAINT, INK, shorten


def rate_picture(table: pd.DataFrame, title: str) -> Figure:
    """Return a bar a row with its rate, from the least to the largest of all turns, and what is published as a ring."""
    drawn, axes = figure_axes(title)
    places, rates = np.arange(len(table)), numbers_of(table, "videos_per_s")
    ends = np.abs(np.stack([numbers_of(table, f"videos_per_s_{end}") for end in ("low", "high")]) - rates)
    axes.bar(places, rates, width=0.5, color=COLOURS[0], yerr=ends, ecolor=INK, capsize=3, label="measured here")
    for place, row in zip(places, table.to_dict("records"), strict=True):
        text = f"{row['videos_per_s']}, {row['speedup']} times"
        axes.annotate(
            text,
            (place, 0),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=FONT_SIZE,
            bbox={"facecolor": "white", "edgecolor": FAINT},
        )
    published = numbers_of(table, "published_videos_per_s")
    if np.isfinite(published).any():
        ring = {"facecolors": "none", "edgecolors": COLOURS[1], "zorder": 3}
        axes.scatter(places, published, label="published, on other devices", **ring)
    axes.set_xticks(places, [shorten(name, 24) for name in table["row"]], parse_math=False)
    devices = ", ".join(dict.fromkeys(table["device"]))
    axes.set_ylabel(f"videos a second ({devices})", color=INK, fontsize=FONT_SIZE, parse_math=False)
    draw_legend(drawn, "outside lower center")
    return drawn
