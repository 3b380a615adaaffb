"""From the logits of views to the scores of videos and of ensembles. Pure functions, NumPy, float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mml_core.errors import InputError


def video_logits(logits: np.ndarray, views: np.ndarray, reduction: Literal["mean", "max"]) -> np.ndarray:
    """Return a network's logits of videos, (V, N) float64, from those of all their views, (R, N).

    `views` (V,) says how many of the R rows, one after the other, each video has: one at least, R in all. mean: as MML,
    Appendix A. max: the largest of each class, as SlowFast's recipe for Charades has it (it takes that of the sigmoids,
    which rank alike).
    """
    firsts = np.cumsum(views) - views
    reduced = np.empty((len(views), logits.shape[1]), dtype=np.float64)
    for count in np.unique(views):  # NumPy's reduceat takes ten times as long
        chosen = views == count
        alike = logits[firsts[chosen][:, None] + np.arange(count)]  # (videos, count, N)
        match reduction:
            case "mean":
                reduced[chosen] = alike.mean(axis=1, dtype=np.float64)
            case "max":
                reduced[chosen] = alike.max(axis=1)
    return reduced


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities of classes of which one holds: (V, N) -> (V, N) in 0..1, rows sum to 1."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return probabilities of classes that hold independently: any shape -> the same, in 0..1, without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits))


def fuse(
    members: Sequence[np.ndarray],
    weights: Sequence[float],
    fusion: Literal["logits", "probabilities"],
    *,
    multi_label: bool,
) -> np.ndarray:
    """Return an ensemble's scores of videos: the weighted sum of what its members say.

    `members` are logits of videos, each (V, N), of the same videos in the same order; the result is (V, N) float64.
    `probabilities` sums softmax (multi-label: sigmoid) probabilities instead of logits.
    """
    match fusion:
        case "logits":
            parts = list(members)
        case "probabilities":
            parts = [sigmoid(member) if multi_label else softmax(member) for member in members]
    total = np.zeros(parts[0].shape, dtype=np.float64)
    for part, weight in zip(parts, weights, strict=True):
        total += weight * part
    return total


def alignment(reference: Sequence[str], other: Sequence[str], *, names: tuple[str, str]) -> np.ndarray:
    """Return the order (V,) int64 that brings the videos `other` into the order of `reference`.

    Raises InputError, with `names` of the two in its message, where they are not the same videos.
    """
    place = {video_id: index for index, video_id in enumerate(other)}
    missing = [video_id for video_id in reference if video_id not in place]
    surplus = sorted(set(other) - set(reference))
    if missing or surplus:
        example, absent_in = (missing[0], names[1]) if missing else (surplus[0], names[0])
        raise InputError(
            f"{names[0]} and {names[1]} were not scored on the same videos: {len(missing) + len(surplus)} differ, "
            f"for example {example!r} has no scores of {absent_in}",
            hint="an ensemble needs every member's score of every video; score them on the same split and shards",
        )
    return np.array([place[video_id] for video_id in reference])
