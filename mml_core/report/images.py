"""Pictures inside a page: figures and images as `data:` addresses, so that the page needs no other file."""

from __future__ import annotations

import base64
import io

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave

JPEG_QUALITY = 85


def figure_uri(figure: Figure) -> str:
    """Return `figure` as an SVG `data:` address: text as outlines, transparent ground, equal figures as equal text."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "mml"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _uri("image/svg+xml", buffer.getvalue())


def image_uri(image: np.ndarray) -> str:
    """Return `image`, uint8 RGB (H, W, 3), as a JPEG `data:` address."""
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(image), format="jpg", pil_kwargs={"quality": JPEG_QUALITY})
    return _uri("image/jpeg", buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
