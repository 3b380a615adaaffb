"""The picture of MML's Tables XI and XII: a matrix of ensembles, coloured by what they gain on a baseline."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, LinearSegmentedColormap
from matplotlib.figure import Figure

from mml_core.report.figures import FAINT, INK, shorten

#: Worse, equal and better than the baseline; ink is readable on all of them. An odd number has white in its middle.
COLOURS = LinearSegmentedColormap.from_list("gain", ["#6cb6ff", "#ffffff", "#ff7b72"], N=257)
CELL_SIZE = (0.62, 0.4)  # inches
NAME_WIDTH = 22  # characters of a line of a name
LONGEST_NAME = 3 * NAME_WIDTH
FONT_SIZE, SECOND_FONT_SIZE = 8, 6.5  # points
SECOND_SHIFT = 0.21  # heights of a cell between its middle and each of two values
CHARACTER_IN = 0.075  # inches that a character of a name takes


def ensemble_matrix_figure(
    values: np.ndarray,
    row_names: Sequence[str],
    column_names: Sequence[str],
    baseline: float,
    second: np.ndarray | None = None,
) -> Figure:
    """Return a matrix of `values` (R, C), in percent, each cell with its value and coloured by it.

    As in the paper, a cell that equals `baseline`, in percent, is white, better ones are the redder the higher, worse
    ones the bluer the lower. Both colours are equally strong at equal distances from the baseline; the farthest cell
    gets the full one. `second` (R, C), in percent, is written below the values and has no colour (top-5).

    Raises ValueError where there is no cell, values or baseline are not finite, or shapes and names do not fit.
    """
    _check(values, row_names, column_names, baseline, second)
    across, down = _wrap(column_names), _wrap(row_names)
    rows, columns = values.shape
    width = columns * CELL_SIZE[0] + _longest_line(down) * CHARACTER_IN
    height = rows * CELL_SIZE[1] + _longest_line(across) * CHARACTER_IN
    figure = Figure(figsize=(width + 0.3, height + 0.3), layout="constrained")
    axes = figure.add_subplot()
    farthest = max(float(np.abs(values - baseline).max()), 1e-9)  # above 0, so that a baseline alone is white
    # cells need no fixed shape: they leave what room the names take
    axes.imshow(values, cmap=COLOURS, norm=CenteredNorm(baseline, farthest), interpolation="nearest", aspect="auto")
    _name(axes, across, down)
    _write(axes, values, second)
    return figure


def _check(
    values: np.ndarray,
    row_names: Sequence[str],
    column_names: Sequence[str],
    baseline: float,
    second: np.ndarray | None,
) -> None:
    shape = (len(row_names), len(column_names))
    if 0 in shape or values.shape != shape or (second is not None and second.shape != shape):
        given = f"{values.shape}" if second is None else f"{values.shape} and {second.shape}"
        raise ValueError(f"expected values of shape {shape}, as many as there are names, got {given}")
    if not np.isfinite(values).all() or not np.isfinite(baseline):
        raise ValueError("expected finite values")


def _wrap(names: Sequence[str]) -> list[str]:
    return [textwrap.fill(shorten(name, LONGEST_NAME), NAME_WIDTH) for name in names]


def _longest_line(names: Sequence[str]) -> int:
    return max(len(line) for name in names for line in name.splitlines() or [""])


def _name(axes: Axes, across: Sequence[str], down: Sequence[str]) -> None:
    """Write the names of columns above the matrix, turned, and those of rows on its left; separate the cells."""
    axes.xaxis.tick_top()
    # names are text, not formulas: a dollar sign is a dollar sign
    axes.set_xticks(range(len(across)), across, rotation=90, multialignment="left", parse_math=False)
    axes.set_yticks(range(len(down)), down, parse_math=False)
    axes.tick_params(colors=INK, labelsize=FONT_SIZE, length=0)
    axes.set_xticks(np.arange(1, len(across)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(down)) - 0.5, minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def _write(axes: Axes, values: np.ndarray, second: np.ndarray | None) -> None:
    """Write each cell's value, and below it the second one where there are any."""
    shift = 0 if second is None else SECOND_SHIFT
    for (row, column), value in np.ndenumerate(values):
        style = {"ha": "center", "va": "center", "color": INK}
        axes.text(column, row - shift, f"{value:.2f}", fontsize=FONT_SIZE, **style)
        if second is not None:
            axes.text(column, row + shift, f"{second[row, column]:.2f}", fontsize=SECOND_FONT_SIZE, **style)
