"""The one exception that people are meant to read: what is wrong, in which file, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike


class InputError(Exception):
    """A fault in what the user supplied (configuration, annotations, videos, shards, weights).

    Rendered as ``FILE: what is wrong. Hint: what to do``; scripts print it without a traceback.
    """

    def __init__(self, message: str, *, file: str | PathLike[str] | None = None, hint: str | None = None) -> None:
        self.message, self.file, self.hint = message, file, hint
        where = f"{file}: " if file is not None else ""
        advice = f"\n  Hint: {hint}" if hint else ""
        super().__init__(f"{where}{message}{advice}")


def summarise(problems: Sequence[str], limit: int = 10) -> str:
    """Join `problems`, one a line, showing the first `limit` and the number of the rest."""
    shown = [f"  - {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        shown.append(f"  … and {len(problems) - limit} more")
    return "\n".join(shown)
