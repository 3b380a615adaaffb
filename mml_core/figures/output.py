"""Writing a figure: its table as CSV, its picture as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave

from mml_core.errors import InputError
from mml_core.figures.drawing import DOTS_PER_INCH, stacked
from mml_core.io.files import replaced_on_success, write_text


def write_figure(output: Path, picture: Path, table: pd.DataFrame, drawn: Figure) -> None:
    """Write `table` to `output` and `drawn` to `picture`; equal figures give equal files."""
    write_text(output, table.to_csv(index=False, lineterminator="\n"))
    write_picture(picture, drawn)


def write_picture(picture: Path, drawn: Figure) -> None:
    """Write `drawn` to `picture` as PNG."""
    with replaced_on_success(picture) as temporary:
        drawn.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def stack_figures(tables: list[Path], pictures: list[Path], output: Path, picture: Path) -> None:
    """Write the rows of all `tables` to `output`, and all `pictures`, below each other, to `picture`."""
    joined = pd.concat([pd.read_csv(path, dtype=str, keep_default_na=False) for path in tables], ignore_index=True)
    write_text(output, joined.fillna("").to_csv(index=False, lineterminator="\n"))
    with replaced_on_success(picture) as temporary:
        imsave(temporary, stacked([_read(path) for path in pictures]), format="png", metadata={"Software": None})


def _read(path: Path) -> np.ndarray:
    """Return the PNG file at `path` as (H, W, 3) uint8; raises InputError where it is none."""
    try:
        levels = imread(path, format="png")
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot be read as a picture ({error})", file=path) from error
    return (levels[..., :3] * 255).round().astype(np.uint8)
