"""Pictures inside a page: figures and images as `data:` addresses, so that the page needs no other file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave

from mml_core.errors import InputError

JPEG_QUALITY = 85
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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


def png_uri(path: Path) -> str:
    """Return the PNG file `path` as a `data:` address; raises InputError where it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read as a picture ({error})", file=path) from error
    if not content.startswith(PNG_SIGNATURE):
        raise InputError("is no PNG picture", file=path)
    return _uri("image/png", content)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
