"""Python's collection of garbage, where much is made that stays."""

from __future__ import annotations

import atexit
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


def passed_over_at_exit() -> None:
    """Have nothing collected when this process ends: the system takes all of its memory back anyway.

    For programs that other people's code ends; ours leave by `mml_core.runtime.cli`. What was to be done at the end
    (atexit, finalizers of weakref) is done as ever; what modules hold is mostly not freed any more.
    """
    atexit.register(_pass_over)


def _pass_over() -> None:
    gc.disable()
    gc.freeze()


def collected_seldom() -> None:
    """Have this process collect once 50,000 objects were made, instead of some hundred, and rarely look at all of them.

    For a process that makes many objects which stay, bit by bit, and holds nothing large in those that refer to
    themselves.
    """
    gc.set_threshold(50_000, 20, 100)
