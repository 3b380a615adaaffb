"""Python's collection of garbage, where much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def made_to_stay() -> Iterator[None]:
    """Within, nothing is collected; what there is at the end is passed over by all later collections.

    For a process that makes something large once and keeps it, as the plan of hundreds of thousands of videos is: each
    collection would look at all of it again. What refers to itself within, and is left, is never freed.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
