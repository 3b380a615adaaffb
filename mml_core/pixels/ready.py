"""Whether this process handles pixels by compiled code: loading it takes longer than resizing some hundred pictures.

What is computed is the same either way, bit for bit.
"""

from __future__ import annotations

import threading

import numpy as np

_READY = threading.Event()


def is_ready() -> bool:
    """Return whether the code is there, in this process or in the one that it was forked from."""
    return _READY.is_set()


def make_ready() -> None:
    """Load the code: 0.6 s of a processor, 2.4 s where it is to be compiled and was not kept."""
    if is_ready():
        return
    from mml_core.pixels.differences import difference_into
    from mml_core.pixels.planes import resize_planes
    from mml_core.pixels.vectors import LANES

    frames = np.zeros((2, LANES, LANES, 3), np.uint8)
    difference_into(*frames.transpose(0, 3, 1, 2), out=frames[0])
    resize_planes(frames.transpose(0, 3, 1, 2), np.empty((2, 3, LANES, LANES), np.uint8))
    _READY.set()
