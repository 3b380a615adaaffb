"""Figures of a training and of its mistakes. Pure functions; dark on transparent, so that a page may invert them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mml_core.training.columns import terms_of

INK, FAINT = "#24292f", "#d0d7de"
COLOURS = ("#0969da", "#cf5f00", "#1a7f37", "#8250df", "#bf3989", "#6e7781")
CURVE_SIZE = (4.8, 3.0)  # inches
#: With more classes than this a matrix gets no counts, and with more than that no names.
COUNTED_CLASSES, NAMED_CLASSES = 12, 40
LONGEST_NAME = 34
#: How the terms of a loss are drawn: what a pattern is called, and its lengths in points.
DASHES = (("dashed", (3, 2)), ("dotted", (1, 2)), ("dash-dotted", (5, 2, 1, 2)))


def loss_curves(history: pd.DataFrame) -> Figure:
    """Return the losses of a stage's networks over epochs, and the terms that they are sums of where there are several.

    `history` has the columns epoch, network and loss, and one for each term: a row an epoch and network.
    """
    figure, axes = _axes(CURVE_SIZE)
    terms = [name for name in terms_of(history.columns) if (history[name].fillna(0) != 0).any()]
    styles = dict(zip(terms, itertools.cycle(DASHES), strict=False)) if len(terms) > 1 else {}
    for colour, (network, rows) in zip(_cycle(history), history.groupby("network", sort=False), strict=True):
        axes.plot(rows["epoch"], rows["loss"], color=colour, label=network, **_marks(rows))
        for term, (_, dashes) in styles.items():
            axes.plot(rows["epoch"], rows[term], color=colour, linestyle=(0, dashes), linewidth=1.1)
    parts = ", ".join(f"{name}: {term.replace('_', ' ')}" for term, (name, _) in styles.items())
    _finish_curves(axes, f"loss ({parts})" if parts else "loss")
    return figure


def accuracy_curves(history: pd.DataFrame) -> Figure:
    """Return top-1 accuracies in percent over epochs: training thin and dashed, validation with dots where measured.

    `history` has the columns epoch, network, train_top1 and validation_top1, the last empty where not measured.
    """
    figure, axes = _axes(CURVE_SIZE)
    for colour, (network, rows) in zip(_cycle(history), history.groupby("network", sort=False), strict=True):
        axes.plot(rows["epoch"], rows["train_top1"], color=colour, linestyle=(0, (3, 2)), linewidth=1.1)
        measured = rows.dropna(subset=["validation_top1"])
        axes.plot(measured["epoch"], measured["validation_top1"], color=colour, marker="o", markersize=3, label=network)
    axes.set_ylim(bottom=0)
    _finish_curves(axes, "top-1, % (dashed: training)")
    return figure


def confusion_figure(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Return a confusion matrix, counts (N, N) by true class (rows) and prediction (columns), as shares of its rows."""
    size = len(classes)
    named = size <= NAMED_CLASSES
    side = min(max(3.6, 0.42 * size), 9.0)
    figure, axes = _axes((side + (1.8 if named else 0.4), side + (1.4 if named else 0.2)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("true", color=INK)
    if named:
        names = [shorten(name) for name in classes]
        # class names are text, not formulas: a dollar sign is a dollar sign
        axes.set_xticks(range(size), names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
        axes.set_yticks(range(size), names, parse_math=False)
    if size <= COUNTED_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.55 else INK
                axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=8)
    return figure


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """Return `name` in at most `longest` characters, cut in the middle: classes often differ at their ends."""
    head = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:head]}…{name[len(name) - (longest - 1 - head) :]}"


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    return figure, axes


def _cycle(history: pd.DataFrame) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(history["network"].nunique())]


def _marks(rows: pd.DataFrame) -> dict[str, object]:
    """Return a marker where there are too few points for a line to be seen."""
    return {"marker": "o", "markersize": 3} if len(rows) < 3 else {}


def _finish_curves(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_xlabel("epoch", fontsize=8, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)
