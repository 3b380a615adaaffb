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
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mml_core.evaluation.metrics import mean_average_precision

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 0
#: Resamples for mean average precision, which has to be computed anew for each of them.
MAP_RESAMPLES = 200
#: How many numbers of a drawn table are in memory at a time.
CHUNK = 2**22


class SeededEstimate(NamedTuple):
    """A mean over runs and videos, in the unit of the values."""

    value: float
    std: float  # standard deviation of the runs' means (S - 1 in the denominator); NaN for a single run
    low: float
    high: float
    seeds: int  # number of runs S


class SeededDifference(NamedTuple):
    """A difference between two systems, run by run on the same videos, in the unit of the values."""

    value: float
    std: float  # standard deviation of the runs' differences (S - 1 in the denominator); NaN for a single run
    low: float
    high: float
    seeds: int  # number of pairs of runs S
    share_of_runs: float  # 0..1, share of the pairs whose difference is above 0


class _Ranking(NamedTuple):
    """A run's videos by falling score, for each of C classes, and where the P positive ones are, class by class."""

    order: np.ndarray  # (C, V) int: videos
    classes: np.ndarray  # (P,) int: which of the C classes a positive one belongs to
    videos: np.ndarray  # (P,) int: which video it is
    ends: np.ndarray  # (P,) int: place in the flattened order of the last video with its score
    peers: np.ndarray  # (P,) int: the last positive one with its score
    firsts: np.ndarray  # (C,) int: each class's first positive one


def estimate(values: np.ndarray) -> SeededEstimate:
    """Return the mean of `values` (S, V), for example 1 where run s is right about video v, with its uncertainty.

    Raises ValueError where `values` is not a table of finite numbers, with a run and a video at least.
    """
    values = _checked(values)
    low, high = _interval(_resampled_means(values))
    return SeededEstimate(float(values.mean()), _deviation(values.mean(axis=1)), low, high, len(values))


def paired_difference(better: np.ndarray, worse: np.ndarray) -> SeededDifference:
    """Return the mean of `better - worse`, both (S, V): run s and video v of one belong to run s and video v of other.

    Pairing runs makes sense where they share something (the seed, the first weights); where they do not, any order of
    the runs is as good, and share_of_runs says little. Raises ValueError where shapes differ or values are not finite.
    """
    if better.shape != worse.shape:
        raise ValueError(f"expected values of the same runs and videos, got shapes {better.shape} and {worse.shape}")
    differences = _checked(better) - _checked(worse)
    return SeededDifference(*estimate(differences), _share_above_zero(differences.mean(axis=1)))


def bootstrap_map_difference(
    better: Sequence[np.ndarray], worse: Sequence[np.ndarray], labels: np.ndarray
) -> SeededDifference:
    """Return the difference of mean average precisions, 0..1, of scores (V, N) each against indicators `labels` (V, N).

    Run s of `better` belongs to run s of `worse`; the value is the mean over the runs. The interval comes from
    MAP_RESAMPLES resamples. A resample leaves out the classes of which it has no video, as
    `metrics.mean_average_precision` does. Repeated videos change the average precision of rare classes, of both sides
    alike, which is why only differences are offered. Raises ValueError where the numbers of runs differ, there is
    none, or no video has a label.
    """
    if not better or len(better) != len(worse):
        raise ValueError(f"expected as many runs of both, at least one, got {len(better)} and {len(worse)}")
    if not labels.any():
        raise ValueError("no video has a label: average precision is not defined")
    ours, theirs = (np.array([mean_average_precision(scores, labels) for scores in side]) for side in (better, worse))
    runs = ours - theirs
    low, high = _interval(_resampled_map_differences(better, worse, labels))
    return SeededDifference(float(runs.mean()), _deviation(runs), low, high, len(runs), _share_above_zero(runs))


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


def _share_above_zero(means: np.ndarray) -> float:
    return float((means > 0).mean())


def _interval(resampled: np.ndarray) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(resampled, (tail, 1 - tail))  # NaN: of a resample without any positive video
    return float(low), float(high)


def _draw(rng: np.random.Generator, counts: np.ndarray, resamples: int) -> np.ndarray:
    """Return how often each kind comes, (resamples, K), when as many things are drawn as there are, `counts` (K,)."""
    total = counts.sum()
    return rng.multinomial(total, counts / total, size=resamples)


def _resampled_means(values: np.ndarray) -> np.ndarray:
    """Return the means (RESAMPLES,) of `values` (S, V) with runs and videos drawn anew.

    Videos with the same column of values are interchangeable, so only the number of draws of each kind of column is
    drawn: for S runs, right or wrong, at most 2^S numbers instead of V. That is exact, no approximation.
    """
    (runs, videos), rng = values.shape, np.random.default_rng(SEED)
    columns, counts = np.unique(values, axis=1, return_counts=True)
    of_runs = _draw(rng, np.ones(runs, np.int64), RESAMPLES)
    chunk = max(1, CHUNK // len(counts))
    totals = [
        ((part @ columns) * _draw(rng, counts, len(part))).sum(axis=1)
        for part in (of_runs[first : first + chunk] for first in range(0, RESAMPLES, chunk))
    ]
    return np.concatenate(totals) / (runs * videos)


def _resampled_map_differences(
    better: Sequence[np.ndarray], worse: Sequence[np.ndarray], labels: np.ndarray
) -> np.ndarray:
    """Return differences of mean average precision (MAP_RESAMPLES,), with pairs of runs and videos drawn anew."""
    rng = np.random.default_rng(SEED)
    ours, theirs = ([_rank(scores, labels) for scores in side] for side in (better, worse))
    of_runs = _draw(rng, np.ones(len(ours), np.int64), MAP_RESAMPLES)
    of_videos = _draw(rng, np.ones(len(labels), np.int64), MAP_RESAMPLES)
    differences = [
        [_weighted_map(one, times) - _weighted_map(other, times) for one, other in zip(ours, theirs, strict=True)]
        for times in of_videos
    ]
    return np.average(differences, axis=1, weights=of_runs)


def _rank(scores: np.ndarray, labels: np.ndarray) -> _Ranking:
    """Return the ranking by `scores` (V, N), for the classes that `labels` (V, N) has videos of."""
    present, videos = labels.any(axis=0), len(scores)
    falling = -scores.T[present]
    order = falling.argsort(axis=1)
    classes, places = np.take_along_axis(labels.T[present], order, axis=1).nonzero()
    falling = np.take_along_axis(falling, order, axis=1)
    changes = np.pad(falling[:, 1:] != falling[:, :-1], ((0, 0), (0, 1)), constant_values=True)
    last = np.flatnonzero(changes)  # of each group of equal scores
    ends = last[np.searchsorted(last, classes * videos + places)]
    return _Ranking(
        order=order,
        classes=classes,
        videos=order[classes, places],
        ends=ends,
        peers=np.searchsorted(ends, ends, side="right") - 1,
        firsts=np.searchsorted(classes, np.arange(len(order))),
    )


def _weighted_map(ranking: _Ranking, weights: np.ndarray) -> float:
    """Return the mean average precision, 0..1, where video v is there weights[v] times; NaN where no class has a video.

    It is what `metrics.mean_average_precision` makes of repeated videos, without ranking them again every time.
    """
    seen = weights[ranking.order].cumsum(axis=1).ravel()[ranking.ends]
    hits = weights[ranking.videos]
    found = hits.cumsum()
    of_earlier_classes = (found - hits)[ranking.firsts][ranking.classes]
    # among equal scores none is ahead: the precision at each is that at the last of them
    precisions = (found[ranking.peers] - of_earlier_classes) / np.maximum(seen, 1)
    totals = np.add.reduceat(hits, ranking.firsts)
    averages = np.add.reduceat(hits * precisions, ranking.firsts)[totals > 0] / totals[totals > 0]
    return float(averages.mean()) if len(averages) else float("nan")
