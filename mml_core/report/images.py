"""Pictures inside a page: figures and images as `data:` addresses, so that the page needs no other file."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave

from mml_core.report.picture_files import data_uri

JPEG_QUALITY = 85


def figure_uri(figure: Figure) -> str:
    """Return `figure` as an SVG `data:` address: text as outlines, transparent ground, equal figures as equal text."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "mml"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return data_uri("image/svg+xml", buffer.getvalue())


def image_uri(image: np.ndarray) -> str:
    """Return `image`, uint8 RGB (H, W, 3), as a JPEG `data:` address."""
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(image), format="jpg", pil_kwargs={"quality": JPEG_QUALITY})
    return data_uri("image/jpeg", buffer.getvalue())
