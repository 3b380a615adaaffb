"""Which videos a row takes for another class, the worst classes first. Pure functions; V videos of N classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mml_core.evaluation.metrics import predictions

#: Players on a page at most, and how many of one class precede those of better classes at least.
MOST_CLIPS, OF_ONE_CLASS = 40, 4


class Mistake(NamedTuple):
    """A video that is taken for another class than its own.

    Of several labels, one of whose right ones is behind a wrong one: `truth` is the last of the right, `prediction` the
    first of the wrong.
    """

    video: int  # its position
    truth: int
    prediction: int
    confidence: float  # 0..1, the probability of `prediction`
    average_precision: float | None = None  # 0..1, of the video's labels, where it may have several


class ClassResult(NamedTuple):
    """How the videos of one class fare."""

    label: int
    videos: int
    right: int  # of several labels: in which no wrong label is before this one
    taken_for: tuple[tuple[int, int], ...]  # other class and number of videos, the commonest first
    average_precision: float | None = None  # 0..1, of several labels: of all videos by their scores of this class


def class_results(scores: np.ndarray, labels: np.ndarray) -> list[ClassResult]:
    """Return the results of all classes that occur in `labels` (V,), the worst first, of equals the first class."""
    said = predictions(scores)
    results = []
    for label in np.unique(labels).tolist():
        counts = Counter(said[labels == label].tolist())
        others = Counter({other: count for other, count in counts.items() if other != label})
        results.append(ClassResult(label, sum(counts.values()), counts[label], commonest(others)))
    return sorted(results, key=lambda one: (one.right / one.videos, one.label))


def mistakes(scores: np.ndarray, labels: np.ndarray, chances: np.ndarray) -> list[Mistake]:
    """Return all wrong videos: by class as in `class_results`, then by what they are taken for, the surest first.

    `chances` (V, N) are probabilities, 0..1.
    """
    said, place = predictions(scores), places(class_results(scores, labels))
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


def places(results: Sequence[ClassResult]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return where each pair of class and other class comes among `results`."""
    return {
        (result.label, other): (rank, order)
        for rank, result in enumerate(results)
        for order, (other, _) in enumerate(result.taken_for)
    }


def commonest(counts: Counter[int]) -> tuple[tuple[int, int], ...]:
    """Return classes with their numbers, the commonest first, of equals the first class."""
    return tuple(sorted(counts.items(), key=lambda counted: (-counted[1], counted[0])))
