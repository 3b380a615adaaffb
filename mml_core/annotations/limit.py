"""A few videos of each class, for a first look."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

from mml_core.annotations.types import Annotations


def limited(annotations: Annotations, most: int) -> Annotations:
    """Return `annotations` with at most `most` >= 1 videos of each class in each split.

    The videos with the smallest hash of their id stay, so that a larger number keeps those of a smaller one. One with
    several labels stays where one of its classes has room; those without a label count as a class.
    """
    counts: Counter[tuple[str, int | None]] = Counter()
    kept: set[str] = set()
    for video in sorted(annotations.videos, key=lambda one: hashlib.sha256(one.video_id.encode()).digest()):
        classes = [(video.split, label) for label in video.labels or (None,)]
        if any(counts[one] < most for one in classes):
            counts.update(classes)
            kept.add(video.video_id)
    return replace(annotations, videos=tuple(video for video in annotations.videos if video.video_id in kept))
