"""Distributions as bars, drawn by the page itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BARS = 16


@dataclass(frozen=True)
class Histogram:
    """How often values are: `bars` are heights in percent of the highest; ends and middle of the values as text."""

    title: str
    bars: Sequence[int]
    least: str
    median: str
    most: str


def histogram(title: str, values: Sequence[float], bars: int = BARS) -> Histogram | None:
    """Return the distribution of finite `values` in `bars` equal steps; None where there are none."""
    if not values:
        return None
    counts, _ = np.histogram(values, bins=bars)
    # a bar that is there can be seen
    heights = [int(max(2, round(100 * count / counts.max()))) if count else 0 for count in counts.tolist()]
    return Histogram(title, heights, f"{min(values):.3g}", f"{float(np.median(values)):.3g}", f"{max(values):.3g}")
