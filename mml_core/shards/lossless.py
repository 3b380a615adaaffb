"""Maps of levels as PNG bytes: what is read is what was written, which JPEG does not promise."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode_levels(levels: NDArray[np.uint8]) -> bytes:
    """Return the grey PNG of the map `levels` (H, W)."""
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "PNG")
    return content.getvalue()
