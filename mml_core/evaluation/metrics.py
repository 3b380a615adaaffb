"""Metrics of a table's row: accuracies, confusion, mean average precision."""

from __future__ import annotations

import numpy as np


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


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over the classes that occur of the share of their videos that are right, 0..1.

    Scores (V, N), labels (V,) in 0..N-1.
    """
    right = predictions(scores) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def confusion(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return counts (N, N) int64 of videos by label (rows) and prediction (columns)."""
    counts = np.zeros((scores.shape[1], scores.shape[1]), dtype=np.int64)
    np.add.at(counts, (labels, predictions(scores)), 1)
    return counts


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over classes of the average precision, 0..1, of scores (V, N) against indicators (V, N).

    Classes without a positive video have no average precision and are left out (as for Charades); NaN if all are.
    """
    from sklearn.metrics import average_precision_score  # only now: it takes a second to import, and few tables have it

    present = labels.any(axis=0)
    if not present.any():
        return float("nan")
    return float(average_precision_score(labels[:, present], scores[:, present], average="macro"))
