"""Which videos a row is wrong about where a video may have several labels. Pure functions; V videos of N classes.

Nothing is right or wrong there as a whole: what counts is the order of scores. A video is ranked wrongly where a label
that it lacks is scored as high as one that it has, or higher. How wrongly, tells the average precision of its labels
(scikit-learn's label ranking average precision): the mean, over them, of the share of right ones among all labels that
are scored as high. Of a class it is the usual average precision, whose mean is the table's mAP.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from mml_core.report.mistakes import ClassResult, Mistake, commonest, places


def label_results(scores: np.ndarray, labels: np.ndarray) -> list[ClassResult]:
    """Return the results of all classes that some video has, those with the lowest average precision first.

    Scores and indicators are (V, N). What a class is taken for is the wrong label that is scored highest.
    """
    from sklearn.metrics import average_precision_score  # only now: it takes a second to import

    results = []
    rival, rival_scores = _rivals(scores, labels)
    for label in np.flatnonzero(labels.any(axis=0)).tolist():
        own = labels[:, label] > 0
        behind = own & (rival_scores >= scores[:, label])
        counts = Counter(rival[behind].tolist())
        precision = float(average_precision_score(own, scores[:, label]))
        right = int(own.sum() - behind.sum())
        results.append(ClassResult(label, int(own.sum()), right, commonest(counts), precision))
    return sorted(results, key=lambda one: (one.average_precision, one.label))


def label_mistakes(scores: np.ndarray, labels: np.ndarray, chances: np.ndarray) -> list[Mistake]:
    """Return the videos that are ranked wrongly: by class as in `label_results`, then by pair, the worst first.

    A video is with the last of its right labels, beside the first of the wrong ones. All are (V, N); `chances` are
    probabilities, 0..1. Videos without a label are not looked at: nothing of them can be behind.
    """
    place = places(label_results(scores, labels))
    rival, rival_scores = _rivals(scores, labels)
    lowest = np.where(labels > 0, scores, math.inf)
    last, last_scores = lowest.argmin(axis=1), lowest.min(axis=1)
    wrong = [
        Mistake(
            video,
            int(last[video]),
            int(rival[video]),
            float(chances[video, rival[video]]),
            ranking_precision(scores[video], labels[video]),
        )
        for video in np.flatnonzero(rival_scores >= last_scores).tolist()
    ]
    return sorted(wrong, key=lambda one: (*place[one.truth, one.prediction], one.average_precision, one.video))


def ranking_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the average precision, 0..1, of a video's labels; scores and indicators are (N,), one at least is set."""
    right = labels > 0
    as_high = scores[None, :] >= scores[right][:, None]  # (L, N)
    return float((as_high[:, right].sum(axis=1) / as_high.sum(axis=1)).mean())


def _rivals(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each video's highest-scored wrong label with its score, (V,) each; -inf where it has all labels."""
    wrong = np.where(labels > 0, -math.inf, scores)
    return wrong.argmax(axis=1), wrong.max(axis=1)
