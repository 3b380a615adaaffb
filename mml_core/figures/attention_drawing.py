"""The picture of where places look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mml_core.config.figures import AttentionFigure
from mml_core.figures.attention_figure import Attention
from mml_core.figures.drawing import FONT_SIZE, metric_of
from mml_core.figures.looks import Look
from mml_core.report.clips import strip
from mml_core.report.figures import INK, shorten

TILE_PX = 112  # side of a picture
GAP_PX = 2
PX_PER_INCH = 100
MARGIN_PX = 22  # of the text above a row
#: Arrows point to places whose share is at least so much of that of the first.
LEAST_OF_FIRST = 0.1
#: Readable on frames and on the colours of flow and attention.
MARK, EDGE = "white", "black"


def attention_picture(attention: Attention, figure: AttentionFigure) -> Figure:
    """Return the figure, a row a network with its accuracy and a column a video with its class."""
    values = dict(zip(attention.table["row"], attention.table[metric_of(attention.table)], strict=True))
    rows = {row: f"{shorten(row, 20)}\n{value} %" for row, value in values.items()}
    return looks_picture(attention.looks, rows, attention.videos, figure.title, figure.query)


def looks_picture(
    looks: Mapping[tuple[str, str], Sequence[Look]],
    rows: Mapping[str, str],
    columns: Mapping[str, str],
    title: str,
    query: tuple[float, float],
    tile_px: int = TILE_PX,
) -> Figure:
    """Return `looks` by row and column, both with the text beside or above them.

    A look is three pictures of `tile_px` side: the modality that the query is in with the query, the one that it looks
    at, and the attention map over the frame, with arrows from the query to the places that are looked at most, as far
    as these have a share that is worth one. `query` is as in `attention.shares_of`.
    """
    frames = max(map(len, looks.values()))
    cell = np.array([3 * tile_px, frames * (tile_px + GAP_PX) + MARGIN_PX]) / PX_PER_INCH
    drawn = Figure(figsize=(0.8 + cell[0] * len(columns), 0.6 + cell[1] * len(rows)), layout="constrained")
    drawn.suptitle(shorten(title, 90), fontsize=FONT_SIZE + 1, color=INK, parse_math=False)
    grid = drawn.subplots(len(rows), len(columns), squeeze=False)
    for (row, beside), line in zip(rows.items(), grid, strict=True):
        for (column, above), axes in zip(columns.items(), line, strict=True):
            _draw_looks(axes, looks[row, column], query, tile_px)
            if row == next(iter(rows)):
                axes.set_title(shorten(above), fontsize=FONT_SIZE, color=INK, parse_math=False)
        line[0].set_ylabel(beside, fontsize=FONT_SIZE, color=INK, parse_math=False)
    return drawn


def _draw_looks(axes: Axes, looks: Sequence[Look], query: tuple[float, float], tile_px: int) -> None:
    strips = [strip(np.stack([one.own, one.other, one.hot]), tile_px, GAP_PX) for one in looks]
    white = np.full((GAP_PX, strips[0].shape[1], 3), 255, np.uint8)
    axes.imshow(np.concatenate([part for one in strips for part in (one, white)][:-1]))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.autoscale(False)  # a query at the border is within the picture
    for number, look in enumerate(looks):
        top, map_left = number * (tile_px + GAP_PX), 2 * (tile_px + GAP_PX)
        down, right = (share * tile_px for share in query)
        for left in (0, map_left):
            axes.plot(left + right, top + down, "o", color=MARK, markeredgecolor=EDGE, markersize=4)
        for place in (one for one in look.places if one.share >= LEAST_OF_FIRST * look.places[0].share):
            axes.annotate(
                "",
                xy=(map_left + place.column * tile_px, top + place.row * tile_px),
                xytext=(map_left + right, top + down),
                arrowprops={"arrowstyle": "->", "color": MARK, "linewidth": 1.2, "shrinkB": 0},
            )
