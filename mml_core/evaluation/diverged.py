"""What is told of trainings that diverged: the epoch, in place of an accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from mml_core.evaluation.members import Combined

#: What begins what is told.
DIVERGED = "diverged in epoch "


def divergence(runs: Sequence[Combined]) -> str:
    """Return what stands in place of the values of a row that was to be made of `runs`; nothing where none diverged."""
    epochs = [run.diverged for run in runs if run.diverged]
    if not epochs:
        return ""
    told = DIVERGED + ", ".join(map(str, sorted(set(epochs))))
    return told if len(runs) == 1 else f"{told} ({len(epochs)} of {len(runs)} seeds)"
