"""The picture of activation maps."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mml_core.figures.drawing import FONT_SIZE
from mml_core.figures.maps import Maps
from mml_core.report.clips import strip
from mml_core.report.figures import INK, shorten

TILE_PX = 112  # height of a frame with its map
PX_PER_INCH = 100
MARGIN_PX = 30  # of the texts above a row


def maps_picture(maps: Maps, title: str) -> Figure:
    """Return the maps, a row a network and a column a video, with the softmax of the true class above each."""
    rows = list(dict.fromkeys(row for row, _ in maps.looks))
    strips = {key: strip(look.pictures, TILE_PX) for key, look in maps.looks.items()}
    height, width = next(iter(strips.values())).shape[:2]
    cell = np.array([width, height + MARGIN_PX]) / PX_PER_INCH
    drawn = Figure(figsize=(1.3 + cell[0] * len(maps.videos), 0.7 + cell[1] * len(rows)), layout="constrained")
    drawn.suptitle(shorten(title, 90), fontsize=FONT_SIZE + 1, color=INK, parse_math=False)
    grid = drawn.subplots(len(rows), len(maps.videos), squeeze=False)
    accuracies = dict(zip(maps.table["row"], maps.table["top1"], strict=True))
    for row, line in zip(rows, grid, strict=True):
        for video, axes in zip(maps.videos, line, strict=True):
            axes.imshow(strips[row, video])
            axes.set_xticks([])
            axes.set_yticks([])
            above = f"{shorten(maps.videos[video])}\n" if row == rows[0] else ""
            text = f"{above}{maps.looks[row, video].softmax:.2f}"
            axes.set_title(text, fontsize=FONT_SIZE, color=INK, parse_math=False)
        line[0].set_ylabel(f"{shorten(row, 20)}\n{accuracies[row]} %", fontsize=FONT_SIZE, color=INK, parse_math=False)
    return drawn
