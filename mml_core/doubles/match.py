"""Which videos show the same: an index for candidates, and a comparison of what moves. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from mml_core.doubles.motion import changes, keys, mirrored, mirrored_keys, moments

#: Distance of two places in the index below which their videos are compared; the largest is 2.
NEAR = 0.7
#: Least similarity of doubles, from -1 to 1: see docs/know_your_data.md for how it was measured.
LEAST_SIMILARITY = 0.75
#: Part of the shorter video that has to lie in the longer one, and how many changes, at least.
LEAST_SHARE, LEAST_CHANGES = 0.6, 6
#: Part of the longer video from which on a double is the whole of it.
WHOLE = 0.9
#: Moments that are looked up together: bounds memory.
_AT_A_TIME = 4096


class Match(NamedTuple):
    """Two videos, by their numbers, that show the same."""

    a: int
    b: int
    kind: str  # same, mirrored, or cut (which may be mirrored too)
    similarity: float  # correlation of what moves, to 1
    share: float  # of the longer one that both show


def alike(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Return the largest correlation of the changes `a` (T, P) and `b` (U, P) over all shifts, and their overlap there.

    Shifts with too small an overlap do not count; without any it is (0, 0).
    """
    least = max(LEAST_CHANGES, int(np.ceil(LEAST_SHARE * min(len(a), len(b)))))
    products = a @ b.T
    squares_a, squares_b = ((one**2).sum(axis=1) for one in (a, b))
    best = (0.0, 0)
    for shift in range(least - len(a), len(b) - least + 1):  # b[t + shift] is at the time of a[t]
        first, last = max(0, -shift), min(len(a), len(b) - shift)
        if last - first < least:
            continue
        power = squares_a[first:last].sum() * squares_b[first + shift : last + shift].sum()
        value = float(products.diagonal(shift)[: last - first].sum() / np.sqrt(max(power, 1e-12)))
        best = max(best, (value, last - first))
    return best


def compare(a: np.ndarray, b: np.ndarray) -> Match | None:
    """Return how the videos of changes `a` (T, P) and `b` (U, P) match as a `Match` of numbers 0 and 1, if they do."""
    (plain, overlap), (turned, turned_overlap) = alike(a, b), alike(a, mirrored(b))
    similarity = max(plain, turned)
    if similarity < LEAST_SIMILARITY:
        return None
    share = (overlap if plain >= turned else turned_overlap) / max(len(a), len(b))
    kind = "cut" if share < WHOLE else "same" if plain >= turned else "mirrored"
    return Match(0, 1, kind, similarity, share)


def candidates(videos: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Return pairs (a < b), sorted, of numbers of videos, pictures (T, SIDE, SIDE), that have moments which are near.

    Videos in which too little moves have no moments, and are in no pair.
    """
    found = [_places(pictures) for pictures in videos]
    owners = np.repeat(np.arange(len(videos)), [len(one) for one in found])
    if not len(owners):
        return []
    places = np.concatenate(found)
    tree = KDTree(places)
    seen: set[tuple[int, int]] = set()
    for other in (tree, KDTree(mirrored_keys(places))):
        for first in range(0, len(places), _AT_A_TIME):
            part = KDTree(places[first : first + _AT_A_TIME])
            for number, near in enumerate(part.query_ball_tree(other, NEAR), first):
                a = int(owners[number])
                seen.update((a, int(b)) for b in owners[near] if a < b)
    return sorted(seen)


def _places(pictures: np.ndarray) -> np.ndarray:
    moved = changes(pictures)
    return keys(moved[moments(moved)])


def matches(videos: Sequence[np.ndarray]) -> list[Match]:
    """Return the pairs of videos, each given by its pictures (T, SIDE, SIDE) uint8, that show the same."""
    found = ((a, b, compare(changes(videos[a]), changes(videos[b]))) for a, b in candidates(videos))
    return [match._replace(a=a, b=b) for a, b, match in found if match is not None]
