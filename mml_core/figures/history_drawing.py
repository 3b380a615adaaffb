"""The picture of histories: a panel beside the other, each with its own axis."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mml_core.config.figures import HistoryFigure
from mml_core.figures.drawing import FONT_SIZE, SIZE, style_axes
from mml_core.report.figures import COLOURS, INK, shorten

#: By the number of the network.
STYLES = ("solid", "dashed", "dotted", "dashdot")
#: With fewer epochs each is marked.
FEW_EPOCHS = 30


def history_picture(table: pd.DataFrame, figure: HistoryFigure) -> Figure:
    """Return the curves: colours tell columns apart, dashes networks; with several runs each is a thin line."""
    drawn = Figure(figsize=(SIZE[0] * 0.75 * max(len(figure.panels), 4 / 3), SIZE[1]), layout="constrained")
    # names are text, not formulas: a dollar sign is a dollar sign
    words = {"fontsize": FONT_SIZE + 1, "color": INK, "parse_math": False}
    drawn.suptitle(shorten(figure.title, 90), x=0.01, ha="left", **words)
    every = drawn.subplots(1, len(figure.panels), squeeze=False)[0]
    for axes, (label, columns) in zip(every, figure.panels.items(), strict=True):
        _draw_panel(axes, table, list(figure.networks), columns)
        axes.set_ylabel(shorten(label), color=INK, fontsize=FONT_SIZE, parse_math=False)
    return drawn


def _draw_panel(axes: Axes, table: pd.DataFrame, networks: list[str], columns: tuple[str, ...]) -> None:
    style_axes(axes)
    width = 1.4 if table["run"].nunique() == 1 else 0.7
    for name, style in zip(networks, STYLES, strict=False):
        for column, colour in zip(columns, COLOURS, strict=False):
            words = column.replace("_", " ")
            label = words if len(networks) == 1 else f"{shorten(name, 20)}: {words}"
            curves = table[(table["row"] == name) & (table["column"] == column)]
            for _, run in curves.groupby("run", sort=False):
                epochs, values = pd.to_numeric(run["epoch"]), pd.to_numeric(run["value"])
                marks = {"marker": "o", "markersize": 2.5} if len(run) < FEW_EPOCHS else {}
                axes.plot(epochs, values, color=colour, linestyle=style, linewidth=width, label=label, **marks)
                label = None  # one entry for all runs
    axes.set_xlabel("epoch", color=INK, fontsize=FONT_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend = axes.legend(fontsize=FONT_SIZE, frameon=False, labelcolor=INK)
    for text in legend.get_texts():
        text.set_parse_math(False)
