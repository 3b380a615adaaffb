"""Which videos a row takes for another class, the worst classes first. Pure functions; V videos of N classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from mml_core.evaluation.fusion import softmax
from mml_core.evaluation.metrics import predictions

#: Players on a page at most, and how many of one class precede those of better classes at least.
MOST_CLIPS, OF_ONE_CLASS = 40, 4


class Mistake(NamedTuple):
    """A video that is taken for another class than its own."""

    video: int  # its position
    truth: int
    prediction: int
    confidence: float  # 0..1, the probability of `prediction`


class ClassResult(NamedTuple):
    """How the videos of one class fare."""

    label: int
    videos: int
    right: int
    taken_for: tuple[tuple[int, int], ...]  # other class and number of videos, the commonest first


def probabilities(
    scores: np.ndarray, weights: Sequence[float], fusion: Literal["", "logits", "probabilities"]
) -> np.ndarray:
    """Return the probabilities (V, N), 0..1, of `scores` (V, N), the sum of members times `weights`.

    Of logits it is the softmax of their weighted mean, of probabilities their weighted mean.
    """
    means = scores / sum(weights)
    return means if fusion == "probabilities" else softmax(means)


def class_results(scores: np.ndarray, labels: np.ndarray) -> list[ClassResult]:
    """Return the results of all classes that occur in `labels` (V,), the worst first, of equals the first class."""
    said = predictions(scores)
    results = []
    for label in np.unique(labels).tolist():
        counts = Counter(said[labels == label].tolist())
        others = sorted(((other, count) for other, count in counts.items() if other != label), key=_commonest)
        results.append(ClassResult(label, sum(counts.values()), counts[label], tuple(others)))
    return sorted(results, key=lambda one: (one.right / one.videos, one.label))


def mistakes(scores: np.ndarray, labels: np.ndarray, chances: np.ndarray) -> list[Mistake]:
    """Return all wrong videos: by class as in `class_results`, then by what they are taken for, the surest first.

    `chances` (V, N) are the `probabilities`.
    """
    said, place = predictions(scores), {}
    for rank, result in enumerate(class_results(scores, labels)):
        place |= {(result.label, other): (rank, order) for order, (other, _) in enumerate(result.taken_for)}
    wrong = [
        Mistake(video, int(labels[video]), int(said[video]), float(chances[video, said[video]]))
        for video in np.flatnonzero(said != labels).tolist()
    ]
    return sorted(wrong, key=lambda one: (*place[one.truth, one.prediction], -one.confidence, one.video))


def shown_mistakes(wrong: Sequence[Mistake], most: int = MOST_CLIPS, of_one_class: int = OF_ONE_CLASS) -> list[Mistake]:
    """Return at most `most` of `wrong`, in their order.

    Each class has its share, `of_one_class` at least; within a class each pair has its first before one has its second.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    for position in _pairs_in_turn(wrong):
        by_class[wrong[position].truth].append(position)
    share = max(of_one_class, most // max(1, len(by_class)))
    ordered = [position for own in by_class.values() for position in own[:share]]
    ordered += [position for own in by_class.values() for position in own[share:]]
    return [wrong[position] for position in sorted(ordered[:most])]


def _pairs_in_turn(wrong: Sequence[Mistake]) -> list[int]:
    """Return the positions of `wrong`, classes as they come; within a class the first of each pair, then the second."""
    classes = {label: rank for rank, label in enumerate(dict.fromkeys(one.truth for one in wrong))}
    seen: Counter[tuple[int, int]] = Counter()
    turns = []
    for position, one in enumerate(wrong):
        turns.append((classes[one.truth], seen[one.truth, one.prediction], position))
        seen[one.truth, one.prediction] += 1
    return [position for *_, position in sorted(turns)]


def _commonest(counted: tuple[int, int]) -> tuple[int, int]:
    return -counted[1], counted[0]
