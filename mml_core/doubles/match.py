"""Which videos show the same: an index of moments for candidates, and a comparison of two videos. Pure functions.

Two videos show the same where, at one shift in time, what moves in them is alike and what is left of one picture when
the other is taken from it, brightness and contrast fitted, is less than what moves. The second tells clips of one
session apart in which the same is done: their pictures differ by as much as moves. Both bounds were measured, see
docs/know_your_data.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from mml_core.doubles.motion import changes, mirrored_places, moments, places

#: Distance of two moments in the index below which their videos are compared.
NEAR = 0.7
#: Least correlation of what moves in doubles.
LEAST_SIMILARITY = 0.7
#: Largest power of the difference of pictures of doubles, in powers of what moves.
LARGEST_REST = 0.9
#: Part of the shorter video that has to lie in the longer one, and how many pictures, at least (0.8 s).
LEAST_SHARE, LEAST_PICTURES = 0.6, 10
#: Part of the longer video from which on a double is the whole of it.
WHOLE = 0.9
#: Shifts that are tried about that of two moments, since cut videos begin between pictures.
ABOUT = (-1, 0, 1)
#: Moments that are looked up together, which bounds memory, and in how many of their directions.
_AT_A_TIME, _DIRECTIONS = 1024, 8


class Alike(NamedTuple):
    """How alike two videos are at one shift in time."""

    similarity: float  # correlation of what moves, to 1
    rest: float  # power of the difference of pictures, in powers of what moves
    share: float  # of the longer one that both show

    @property
    def is_same(self) -> bool:
        """Whether they show the same."""
        return self.similarity >= LEAST_SIMILARITY and self.rest <= LARGEST_REST


class Match(NamedTuple):
    """Two videos, by their numbers, that show the same."""

    a: int
    b: int
    kind: str  # same, mirrored, or cut (which may be mirrored too)
    similarity: float
    share: float


class Candidate(NamedTuple):
    """Two videos, by their numbers, with a moment each that look alike."""

    a: int
    b: int
    turned: bool  # whether one of them is mirrored
    shift: int  # number of that picture in b less that in a


def alike(a: np.ndarray, b: np.ndarray, shift: int) -> Alike | None:
    """Return how alike videos are of pictures `a` (T, SIDE, SIDE) and `b` (U, SIDE, SIDE), b[t + shift] with a[t].

    None where they overlap too little.
    """
    first, last = max(0, -shift), min(len(a), len(b) - shift)
    if last - first < max(LEAST_PICTURES, LEAST_SHARE * min(len(a), len(b))):
        return None
    x, y = (one.astype(np.float32).reshape(len(one), -1) for one in (a[first:last], b[first + shift : last + shift]))
    moved_x, moved_y = changes(x), changes(y)
    power_x, power_y = float((moved_x**2).sum()), float((moved_y**2).sum())
    similarity = float((moved_x * moved_y).sum()) / max(1e-6, (power_x * power_y) ** 0.5)
    x, y = x[1:-1] - x[1:-1].mean(), y[1:-1] - y[1:-1].mean()
    var_x, var_y, both = float((x**2).sum()), float((y**2).sum()), float((x * y).sum())
    # a change is twice as far apart as a picture is from its mean
    rest = (var_x - both**2 / max(var_y, 1e-6)) / max(1e-6, power_x / 2)
    return Alike(similarity, rest, (last - first) / max(len(a), len(b)))


def compare(a: np.ndarray, b: np.ndarray, turned: bool, shift: int) -> Alike | None:
    """Return how alike two videos are, the second mirrored if `turned`, at the best shift about `shift`.

    None where they do not show the same.
    """
    other = b[:, :, ::-1] if turned else b
    found = [one for step in ABOUT if (one := alike(a, other, shift + step)) and one.is_same]
    return max(found, default=None)


def candidates(videos: Sequence[np.ndarray]) -> list[Candidate]:
    """Return pairs (a < b), sorted, of videos, pictures (T, SIDE, SIDE), that have moments which are near.

    Videos in which too little moves have no moments, and are in no pair.
    """
    moved = (changes(pictures) for pictures in videos)
    at = [(one, moments(one)) for one in moved]
    owners = np.repeat(np.arange(len(videos)), [len(times) for _, times in at])
    times = np.concatenate([own for _, own in at]) if at else owners
    if not len(owners):
        return []
    found = np.concatenate([places(p, one, own) for p, (one, own) in zip(videos, at, strict=True)])
    seen: set[Candidate] = set()
    for turned, other in ((False, found), (True, mirrored_places(found))):
        for i, j in _near(found, other):
            if owners[i] < owners[j]:
                seen.add(Candidate(int(owners[i]), int(owners[j]), turned, int(times[j] - times[i])))
    return sorted(seen)


def _near(found: np.ndarray, other: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield numbers of rows of two arrays of places that are near each other.

    They are looked up in the few directions in which places differ most, where they are no farther apart than they are.
    """
    axes = np.linalg.eigh(found.T @ found + other.T @ other)[1][:, -_DIRECTIONS:]
    tree = KDTree(other @ axes)
    for first in range(0, len(found), _AT_A_TIME):
        part = found[first : first + _AT_A_TIME]
        near = tree.query_ball_point(part @ axes, NEAR)
        i = np.repeat(np.arange(len(part)), [len(one) for one in near])
        j = np.concatenate([*near, []]).astype(int)
        kept = np.linalg.norm(part[i] - other[j], axis=1) <= NEAR
        yield from zip((first + i[kept]).tolist(), j[kept].tolist(), strict=True)


def matches(videos: Sequence[np.ndarray]) -> list[Match]:
    """Return the pairs of videos, each given by its pictures (T, SIDE, SIDE) uint8, that show the same."""
    best: dict[tuple[int, int], tuple[Alike, bool]] = {}
    for a, b, turned, shift in candidates(videos):
        found = compare(videos[a], videos[b], turned, shift)
        if found is not None:
            best[a, b] = max(best.get((a, b), (found, turned)), (found, turned))
    return [_match(a, b, found, turned) for (a, b), (found, turned) in best.items()]


def _match(a: int, b: int, found: Alike, turned: bool) -> Match:
    kind = "cut" if found.share < WHOLE else "mirrored" if turned else "same"
    return Match(a, b, kind, found.similarity, found.share)
