"""What is said of a claim by its interval, alone and among others."""

from __future__ import annotations

from typing import Literal

import numpy as np

Verdict = Literal["holds", "contradicted", "open", "higher on these videos", "lower on these videos", "untested"]
#: What each verdict says, for people.
MEANINGS: dict[Verdict, str] = {
    "holds": "several seeds, and the whole interval is above zero",
    "contradicted": "several seeds, and the whole interval is below zero",
    "open": "the interval holds zero",
    "higher on these videos": "one seed, interval above zero: of these very networks, and not of the method",
    "lower on these videos": "the same below zero",
    "untested": "all videos are of one group, so that nothing is known of others; or a training diverged",
}


def verdict(low: float, high: float, seeds: int) -> Verdict:
    """Return what an interval of a difference says, made from so many `seeds`; NaN stands for no interval."""
    if np.isnan(low) or np.isnan(high):
        return "untested"
    if low <= 0 <= high:
        return "open"
    if seeds > 1:
        return "holds" if low > 0 else "contradicted"
    return "higher on these videos" if low > 0 else "lower on these videos"


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values (M,) adjusted for their number, 0..1: that of M true hypotheses any is below a level by chance.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979: the i-th
    smallest, from 0 on, times M - i, and none below that of a smaller one. It needs no independence. NaN, of what was
    not tested, stays and does not count.
    """
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    scaled = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return adjusted
