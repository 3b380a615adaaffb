"""Differences between two systems, with an interval that keeps its level however few runs there are.

Run s of one system differs from run s of the other by d[s, v] on video v: say the true difference, a part of the run, a
part of the video (or of its group) and a part of both. The mean over S runs and V videos is wrong by what runs and by
what videos happened to be drawn, and two variances say how far:

- A, that of the runs' means over all videos, divided by S, with S - 1 degrees of freedom.
- B, that of the videos' means over all runs, divided by V, with V - 1 degrees of freedom. Where videos are in G groups,
  it is the sum of squares of the groups' sums about the mean, times G / (G - 1), divided by V², with G - 1.

The interval is the mean ± sqrt(t² A + u² B), where t and u are Student's quantiles for the two degrees of freedom. It
covers the true difference at least as often as it says (Banerjee, Sankhyā 22, 1960), where means are normal. For with w
the share of the runs in the sum of both true variances, U and W chi-squared over their degrees of freedom, and F the
distribution of chi-squared with one degree, coverage is at least E F(w t² U + (1 - w) u² W); F is concave, so that this
is at least w E F(t² U) + (1 - w) E F(u² W), and both of these are the level. What a run and a video have for themselves
is in both variances: a little more safety. Degrees of freedom estimated from the data (Satterthwaite) are not safe with
two or three runs, and a bootstrap over so few is far from it.

Runs are paired by their number, since runs of one number start from the same earlier stages, in the same order of
clips. Where two systems share nothing, pairs are as good as drawn: the level is kept, and only degrees of freedom are
given away. With a single run B alone is left, and the interval is about these very networks, and not about the method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from mml_core.evaluation.groups import sum_groups
from mml_core.evaluation.metrics import mean_average_precision
from mml_core.evaluation.uncertainty import CONFIDENCE, SEED
from mml_core.evaluation.weighted_map import rank, weighted_map

#: Resamples for mean average precision, which has to be computed anew for each of them.
MAP_RESAMPLES = 200
#: Halvings by which the p-value is found: to about 10^-18.
_HALVINGS = 60


class Part(NamedTuple):
    """One of the independent parts of a mean's variance."""

    variance: float | np.ndarray
    freedom: int  # degrees of freedom of the estimate


class Difference(NamedTuple):
    """A difference between two systems, in the unit of the values; low, high and p are NaN where nothing is known."""

    value: float
    std: float  # standard deviation of the runs' differences (S - 1 in the denominator); NaN for a single run
    low: float
    high: float
    p: float  # 0..1, two-sided: the smallest level at which the interval is on one side of zero
    seeds: int  # number of pairs of runs S
    share_of_runs: float  # 0..1, share of the pairs whose difference is above 0
    groups: int  # number of groups of videos, or of videos where these share nothing


#: Of what was not compared.
NO_DIFFERENCE = Difference(*[math.nan] * 5, seeds=0, share_of_runs=math.nan, groups=0)


def run_part(values: np.ndarray) -> Part:
    """Return the part of the runs, A, of the mean of `values` (..., S, V), two runs at least."""
    means = values.mean(axis=-1)
    return Part(means.var(axis=-1, ddof=1) / means.shape[-1], means.shape[-1] - 1)


def video_part(values: np.ndarray, groups: np.ndarray | None) -> Part:
    """Return the part of the videos, B, of the mean of `values` (..., S, V), two groups at least.

    `groups` (V,) as for `groups.sum_groups`. Groups may differ in size: their sums less size times mean are what
    varies.
    """
    means = values.mean(axis=-2)
    sums, sizes = sum_groups(means, groups)
    left = sums - sizes * means.mean(axis=-1, keepdims=True)
    count = len(sizes)
    return Part((left**2).sum(axis=-1) * count / (count - 1) / means.shape[-1] ** 2, count - 1)


def half_width(parts: Sequence[Part], level: float = 1 - CONFIDENCE) -> float | np.ndarray:
    """Return half of the width of the interval that misses the true mean with a probability of `level` at most."""
    return np.sqrt(sum(stdtrit(freedom, level / 2) ** 2 * variance for variance, freedom in parts))


def p_value(value: float, parts: Sequence[Part]) -> float:
    """Return the level, 0..1, at which the interval around `value` just reaches zero."""
    if not any(variance > 0 for variance, _ in parts):
        return float(value == 0)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if half_width(parts, middle) > abs(value) else (low, middle)
    return high


def difference(better: np.ndarray, worse: np.ndarray, groups: np.ndarray | None = None) -> Difference:
    """Return the mean of `better - worse`, both (S, V) in 0..1: the same runs and videos of two systems.

    `groups` (V,) as for `groups.sum_groups`. Where all videos are of one group nothing is known of others, and there is
    no interval. Raises ValueError where shapes differ, or there is no run or no video.
    """
    if better.shape != worse.shape or better.ndim != 2 or better.size == 0:
        raise ValueError(f"expected values of the same runs and videos, got shapes {better.shape} and {worse.shape}")
    values = np.asarray(better, np.float64) - np.asarray(worse, np.float64)
    count = len(sum_groups(values, groups)[1])
    of_videos = video_part(values, groups) if count > 1 else None
    return _told(values.mean(axis=1), of_videos, count)


def map_difference(
    better: Sequence[np.ndarray], worse: Sequence[np.ndarray], labels: np.ndarray, groups: np.ndarray | None = None
) -> Difference:
    """Return the difference of mean average precisions, 0..1, of scores (V, N) each against indicators `labels` (V, N).

    Run s of `better` belongs to run s of `worse`; the value is the mean over the runs. The part of the videos is the
    variance over MAP_RESAMPLES resamples of them, or of their `groups` (V,), times G / (G - 1). A resample leaves out
    the classes of which it has no video, as `metrics.mean_average_precision` does. Repeated videos change the average
    precision of rare classes, of both sides alike, which is why only differences are offered. Raises ValueError where
    the numbers of runs differ, there is none, or no video has a label.
    """
    if not better or len(better) != len(worse):
        raise ValueError(f"expected as many runs of both, at least one, got {len(better)} and {len(worse)}")
    if not labels.any():
        raise ValueError("no video has a label: average precision is not defined")
    ours, theirs = (np.array([mean_average_precision(scores, labels) for scores in side]) for side in (better, worse))
    numbers = np.arange(len(labels)) if groups is None else groups
    count = int(numbers.max()) + 1
    of_videos = Part(_resampled_variance(better, worse, labels, numbers), count - 1) if count > 1 else None
    return _told(ours - theirs, of_videos, count)


def _told(runs: np.ndarray, of_videos: Part | None, groups: int) -> Difference:
    """Return the difference of which `runs` (S,) are those of the runs; without `of_videos` nothing is known of it."""
    value, several = float(runs.mean()), len(runs) > 1
    std = float(runs.std(ddof=1)) if several else float("nan")
    low = high = p = float("nan")
    if of_videos is not None:
        parts = [of_videos, *([Part(std**2 / len(runs), len(runs) - 1)] if several else [])]
        width = float(half_width(parts))
        low, high, p = max(-1.0, value - width), min(1.0, value + width), p_value(value, parts)
    return Difference(value, std, low, high, p, len(runs), float((runs > 0).mean()), groups)


def _resampled_variance(
    better: Sequence[np.ndarray], worse: Sequence[np.ndarray], labels: np.ndarray, numbers: np.ndarray
) -> float:
    """Return the variance of the mean difference over resamples of the groups `numbers` (V,), two at least."""
    rng, count = np.random.default_rng(SEED), int(numbers.max()) + 1
    pairs = [(rank(one, labels), rank(other, labels)) for one, other in zip(better, worse, strict=True)]
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=MAP_RESAMPLES)[:, numbers]  # (resamples, V)
    values = [
        np.mean([weighted_map(one, times) - weighted_map(other, times) for one, other in pairs]) for times in drawn
    ]
    # NaN: of a resample without any positive video
    return float(np.nanvar(values, ddof=1)) * count / (count - 1)
