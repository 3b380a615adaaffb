"""Metrics of a table's row: accuracies with confidence intervals, confusion, mean average precision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, recall_score

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 0


class Estimate(NamedTuple):
    """A share of videos, 0..1, with its confidence interval."""

    value: float
    low: float
    high: float


class Accuracies(NamedTuple):
    """Metrics of single-label classification."""

    top1: Estimate
    top5: Estimate
    mean_class: float  # 0..1


def predictions(scores: np.ndarray) -> np.ndarray:
    """Return each video's best class: (V, N) -> (V,) int64; among equal scores the first class wins."""
    return scores.argmax(axis=1)


def hits(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return whether each video's label is among its k best classes: (V, N), (V,) -> (V,) bool.

    Convention: among equal scores the class with the smaller index comes first, as in `predictions`. scikit-learn's
    top_k_accuracy_score lets the larger index win, offers no result per video and refuses two classes; where no scores
    are equal, its value is the mean of this function's.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)  # (V, 1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]  # (V, N)
    ahead = (scores > own) | ((scores == own) & earlier)
    return ahead.sum(axis=1) < k


def bootstrap(correct: np.ndarray) -> Estimate:
    """Return the share of `correct` (V,) bool with its percentile bootstrap interval over videos.

    Method (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3): draw V videos with
    replacement, RESAMPLES times, and take the quantiles that enclose CONFIDENCE of the shares. The number of correct
    videos among V draws is binomial with the observed share, so it is drawn as such: the same distribution, without
    the draws. The seed is fixed: equal results give equal intervals. The interval covers the choice of test videos,
    not the randomness of training. With all or no videos correct it has no width.
    """
    count, share = len(correct), float(correct.mean())
    shares = np.random.default_rng(SEED).binomial(count, share, RESAMPLES) / count
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(shares, (tail, 1 - tail))
    return Estimate(share, float(low), float(high))


def accuracies(scores: np.ndarray, labels: np.ndarray) -> Accuracies:
    """Return the metrics of scores (V, N) against labels (V,) in 0..N-1.

    With fewer than five classes, top-5 is top-N. The mean class accuracy is over the classes that occur.
    """
    return Accuracies(
        top1=bootstrap(hits(scores, labels, 1)),
        top5=bootstrap(hits(scores, labels, min(5, scores.shape[1]))),
        mean_class=float(
            recall_score(labels, predictions(scores), labels=np.unique(labels), average="macro", zero_division=0)
        ),
    )


def confusion(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return counts (N, N) int64 of videos by label (rows) and prediction (columns)."""
    return confusion_matrix(labels, predictions(scores), labels=np.arange(scores.shape[1]))


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over classes of the average precision, 0..1, of scores (V, N) against indicators (V, N).

    Classes without a positive video have no average precision and are left out (as for Charades); NaN if all are.
    """
    present = labels.any(axis=0)
    if not present.any():
        return float("nan")
    return float(average_precision_score(labels[:, present], scores[:, present], average="macro"))
