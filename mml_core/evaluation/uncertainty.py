"""How sure a mean over several training runs is: resampling of runs and of videos together.

A value of a table depends on the training runs (seeds) and on the videos it was measured on. Both are resampled here,
independently of each other: runs with replacement from the runs, videos with replacement from the videos, and a cell of
the (runs, videos) array counts as often as its run times its video was drawn: Owen, The pigeonhole bootstrap, Annals of
Applied Statistics 1(2), 2007. The interval is the percentile one (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, section 13.3). The seed is fixed: equal results give equal intervals.

What is assumed, and what comes of it. Say a cell is the sum of a part of its run, a part of its video and a part of
its own, with variances r, v and e, for S runs and V videos; the mean's variance is then r/S + v/V + e/(SV). In
expectation the resampled means have instead (1 - 1/S) r/S, (1 - 1/V) v/V and
[(1 - 1/S) + (1 - 1/V) + (1 - 1/S)(1 - 1/V)] e/(SV):

- Runs are taken for draws from all runs that could have been made (only the seed differs), videos likewise.
- The part of the runs is underestimated by (S - 1)/S: a half of it is there with two runs, four fifths with five. No
  resample is better than the best run, or worse than the worst, on the same videos. Where runs differ by more than the
  videos explain, an interval from few runs is too narrow; more runs are the only remedy.
- A cell's own part counts nearly 3 - 2/S times. Intervals of differences between systems, where it is most of the
  variance, are too wide then, by a factor of 1.5 with three runs and 1.73 with very many: they err on the safe side.
- With a single run only videos are resampled. Nothing is said of other runs then.

Where videos share something (`mml_core.evaluation.groups`), groups of them are drawn instead, as many as there are, and
the mean is over all videos of those drawn. What is said of videos above is then of groups: with few of them the
interval is too narrow as well, and with a single one there is none. Differences that decide claims have another
interval, which keeps its level with few runs and groups too (`mml_core.evaluation.differences`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mml_core.evaluation.groups import sum_groups

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 0
#: How many numbers of a drawn table are in memory at a time.
CHUNK = 2**22


class SeededEstimate(NamedTuple):
    """A mean over runs and videos, in the unit of the values; low, high: NaN where all videos are of one group."""

    value: float
    std: float  # standard deviation of the runs' means (S - 1 in the denominator); NaN for a single run
    low: float
    high: float
    seeds: int  # number of runs S


def estimate(values: np.ndarray, groups: np.ndarray | None = None) -> SeededEstimate:
    """Return the mean of `values` (S, V), for example 1 where run s is right about video v, with its uncertainty.

    `groups` (V,) are the numbers of the videos' groups, from 0 on; None: each video is one. Raises ValueError where
    `values` is not a table of finite numbers, with a run and a video at least.
    """
    values = _checked(values)
    low, high = float("nan"), float("nan")
    if groups is None or groups.any():
        low, high = _interval(_resampled_means(values, groups))
    return SeededEstimate(float(values.mean()), _deviation(values.mean(axis=1)), low, high, len(values))


def paired_difference(better: np.ndarray, worse: np.ndarray, groups: np.ndarray | None = None) -> SeededEstimate:
    """Return the mean of `better - worse`, both (S, V): run s and video v of one belong to run s and video v of other.

    Pairing runs makes sense where they share something (the seed, the first weights); where they do not, any order of
    the runs is as good. `groups` as in `estimate`. Raises ValueError where shapes differ or values are not finite.
    """
    if better.shape != worse.shape:
        raise ValueError(f"expected values of the same runs and videos, got shapes {better.shape} and {worse.shape}")
    return estimate(_checked(better) - _checked(worse), groups)


def _checked(values: np.ndarray) -> np.ndarray:
    """Return `values` (S, V) as float64."""
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"expected values of shape (runs, videos), at least one of each, got shape {values.shape}")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("expected finite values")
    return values


def _deviation(means: np.ndarray) -> float:
    return float(means.std(ddof=1)) if len(means) > 1 else float("nan")


def _interval(resampled: np.ndarray) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return float(low), float(high)


def _draw(rng: np.random.Generator, counts: np.ndarray, resamples: int) -> np.ndarray:
    """Return how often each kind comes, (resamples, K), when as many things are drawn as there are, `counts` (K,)."""
    total = counts.sum()
    return rng.multinomial(total, counts / total, size=resamples)


def _resampled_means(values: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Return the means (RESAMPLES,) of `values` (S, V) with runs, and videos or groups of them, drawn anew.

    Groups of one size with the same column of sums are interchangeable, so only the number of draws of each kind of
    column is drawn: for S runs, right or wrong, at most 2^S numbers instead of V. That is exact, no approximation.
    """
    runs, rng = len(values), np.random.default_rng(SEED)
    columns, counts = np.unique(np.vstack(sum_groups(values, groups)), axis=1, return_counts=True)
    of_runs = _draw(rng, np.ones(runs, np.int64), RESAMPLES)
    chunk = max(1, CHUNK // len(counts))
    means = []
    for first in range(0, RESAMPLES, chunk):
        part = of_runs[first : first + chunk]
        times = _draw(rng, counts, len(part))
        means.append(((part @ columns[:-1]) * times).sum(axis=1) / (runs * (times @ columns[-1])))
    return np.concatenate(means)
