"""The picture of what a network chose along videos."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mml_core.figures.choices import Choices, Choosing
from mml_core.figures.drawing import FONT_SIZE, stacked
from mml_core.report.clips import strip
from mml_core.report.figures import INK, shorten

TILE_PX = 48  # height of a picture
BORDER_PX = 3
PX_PER_INCH = 100
MARGIN_PX = 24  # of the text above a video
CHARACTER_PX = 6  # of a title, about
#: Of what was chosen, and of what was not, which is left so much of.
CHOSEN, LEFT = (26, 160, 60), 0.3
WHITE = 255


def choices_picture(choices: Choices, title: str) -> Figure:
    """Return a line a class and in it its videos: frames above, then a row a modality, green where it was chosen."""
    columns = max(map(len, choices.videos.values()))
    drawings = {name: [video_picture(one) for one in videos] for name, videos in choices.videos.items()}
    sides = np.array([one.shape[:2] for line in drawings.values() for one in line]).max(axis=0)
    height, width = (sides[0] + MARGIN_PX) / PX_PER_INCH, sides[1] / PX_PER_INCH
    drawn = Figure(figsize=(1.6 + width * columns, 0.6 + height * len(drawings)), layout="constrained")
    drawn.suptitle(shorten(title, 90), fontsize=FONT_SIZE + 1, color=INK, parse_math=False)
    grid = drawn.subplots(len(drawings), columns, squeeze=False)
    for (name, line), axes_of_line in zip(drawings.items(), grid, strict=True):
        axes_of_line[0].set_ylabel(shorten(name, 20), fontsize=FONT_SIZE, color=INK, parse_math=False)
        for axes in axes_of_line:
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_visible(False)
        for axes, picture, one in zip(axes_of_line, line, choices.videos[name], strict=False):
            axes.imshow(picture)
            most = max(16, picture.shape[1] // CHARACTER_PX)  # a title is no wider than its video
            axes.set_title(shorten(one.title, most), fontsize=FONT_SIZE, color=INK, parse_math=False)
            middles = (np.arange(len(one.pictures)) + 0.5) * picture.shape[0] / len(one.pictures)
            axes.set_yticks(middles, list(one.pictures), fontsize=FONT_SIZE - 1, parse_math=False)
            axes.tick_params(length=0, colors=INK)
    return drawn


def video_picture(one: Choosing) -> np.ndarray:
    """Return the rows of a video (H, W, 3), uint8: what cannot be chosen as it is, the rest by whether it was."""
    rows = []
    for name, pictures in one.pictures.items():
        chosen = one.chosen.get(name)
        tiles = [strip(picture[None], TILE_PX) for picture in pictures]
        rows.append(
            np.concatenate(
                [_bordered(tile, None if chosen is None else bool(chosen[place])) for place, tile in enumerate(tiles)],
                axis=1,
            )
        )
    return stacked(rows)


def _bordered(tile: np.ndarray, chosen: bool | None) -> np.ndarray:
    """Return a picture (H, W, 3) with a border: green where chosen, else white, and what was not chosen is pale."""
    colour = CHOSEN if chosen else (WHITE,) * 3
    sides = np.array(tile.shape[:2]) + 2 * BORDER_PX
    framed = np.broadcast_to(np.array(colour, np.uint8), (*sides, 3)).copy()
    shown = (WHITE - LEFT * (WHITE - tile.astype(np.float64))).round().astype(np.uint8) if chosen is False else tile
    framed[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = shown
    return framed
