"""Which row of a table to take: the cheapest of those that cannot be told apart from the best one.

The row with the highest value was found on the very videos that it was measured on: among many rows some are higher by
luck. So each row is compared with it on the same videos and runs (`differences.difference`), and is out only where the
p-value of the difference, times the number K - 1 of rows that it is compared with, is at most 1 - CONFIDENCE. Whichever
row is truly the best, and whichever is the highest here: the best is out only where one of its K - 1 rivals seems
better at a level of (1 - CONFIDENCE) / (K - 1), so in 5 % of cases at most (Bonferroni's bound on Hsu's comparisons
with the best, Multiple Comparisons, 1996, chapter 4).

Of the rows that are left the cheapest is taken: what costs more has no lead over it that is known to be real.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mml_core.evaluation.uncertainty import CONFIDENCE


class Rated(NamedTuple):
    """A row by what counts for the choice."""

    value: float  # 0..1, the larger the better
    gflops: float  # 10^9 operations a video


class Choice(NamedTuple):
    """The rows that are meant, by their positions, and of each row what is known of its distance from the best."""

    best: int  # the highest value; of equals the cheapest, then the first
    chosen: int
    p: tuple[float, ...]  # adjusted for the number of rows, 0..1; NaN where nothing is known, and of the best
    level: tuple[bool, ...]  # whether a row cannot be told apart from the best, which is one of them


def best_of(rows: Sequence[Rated]) -> int:
    """Return the position of the row with the highest value: of equals the cheapest, then the first."""
    return min(range(len(rows)), key=lambda place: (-rows[place].value, rows[place].gflops, place))


def choose_row(rows: Sequence[Rated], p_values: Sequence[float]) -> Choice:
    """Return which of `rows`, one at least, to take.

    Args:
        rows: values and costs.
        p_values: of each row's difference from `best_of(rows)`, 0..1, two-sided; NaN where nothing is known, so that
            the row cannot be told apart. That of the best itself is not looked at.
    """
    best, others = best_of(rows), max(1, len(rows) - 1)
    p = tuple(math.nan if place == best else min(1.0, value * others) for place, value in enumerate(p_values))
    level = tuple(math.isnan(value) or value > 1 - CONFIDENCE for value in p)
    left = [place for place, one in enumerate(level) if one]
    chosen = min(left, key=lambda place: (rows[place].gflops, -rows[place].value, place))
    return Choice(best, chosen, p, level)
