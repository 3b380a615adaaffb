"""Mean average precision of videos that count several times, or not at all, without ranking them again every time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """A run's videos by falling score, for each of C classes, and where the P positive ones are, class by class."""

    order: np.ndarray  # (C, V) int: videos
    classes: np.ndarray  # (P,) int: which of the C classes a positive one belongs to
    videos: np.ndarray  # (P,) int: which video it is
    ends: np.ndarray  # (P,) int: place in the flattened order of the last video with its score
    peers: np.ndarray  # (P,) int: the last positive one with its score
    firsts: np.ndarray  # (C,) int: each class's first positive one


def rank(scores: np.ndarray, labels: np.ndarray) -> Ranking:
    """Return the ranking by `scores` (V, N), for the classes that `labels` (V, N) has videos of."""
    present, videos = labels.any(axis=0), len(scores)
    falling = -scores.T[present]
    order = falling.argsort(axis=1)
    classes, places = np.take_along_axis(labels.T[present], order, axis=1).nonzero()
    falling = np.take_along_axis(falling, order, axis=1)
    changes = np.pad(falling[:, 1:] != falling[:, :-1], ((0, 0), (0, 1)), constant_values=True)
    last = np.flatnonzero(changes)  # of each group of equal scores
    ends = last[np.searchsorted(last, classes * videos + places)]
    return Ranking(
        order=order,
        classes=classes,
        videos=order[classes, places],
        ends=ends,
        peers=np.searchsorted(ends, ends, side="right") - 1,
        firsts=np.searchsorted(classes, np.arange(len(order))),
    )


def weighted_map(ranking: Ranking, weights: np.ndarray) -> float:
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
