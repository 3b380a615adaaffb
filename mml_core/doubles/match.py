"""Which videos show the same: candidates by moments that lie near each other, and a comparison of two videos.

Two videos show the same where, at one shift in time, what moves in them is alike and what is left of one picture when
the other is taken from it, brightness and contrast fitted, is less than what moves. The second tells clips of one
session apart in which the same is done: their pictures differ by as much as moves. Both bounds were measured, see
docs/know_your_data.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mml_core.doubles.motion import changes
from mml_core.doubles.near import index, near_pairs
from mml_core.doubles.sketch import ABOUT, LARGEST_REST, LEAST_PICTURES, LEAST_SHARE, LEAST_SIMILARITY, sketch
from mml_core.runtime.parallel import in_order, progress

#: Part of the longer video from which on a double is the whole of it.
WHOLE = 0.9
#: In how many parts moments are looked up, at most.
_MOST_PARTS = 400


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


def matches(videos: Sequence[np.ndarray], threads: int = 1) -> list[Match]:
    """Return the pairs of videos, each given by its pictures (T, SIDE, SIDE) uint8, that show the same, in order.

    `threads` have no influence on what is found.
    """
    sketches = sketch(videos)
    moments = index(sketches)
    parts = min(_MOST_PARTS, len(moments.places))

    def found_in(part: int) -> list[tuple[int, int, Alike, bool]]:
        pairs = near_pairs(sketches, moments, part, parts).tolist()
        compared = ((a, b, compare(videos[a], videos[b], turned, shift), turned) for a, b, turned, shift in pairs)
        return [(a, b, found, bool(turned)) for a, b, found, turned in compared if found is not None]

    best: dict[tuple[int, int], tuple[Alike, bool]] = {}
    with progress(parts, "compare", "parts") as bar:
        for some in in_order(found_in, range(parts), threads):
            for a, b, found, turned in some:
                best[a, b] = max(best.get((a, b), (found, turned)), (found, turned))
            bar.update()
    return [_match(a, b, found, turned) for (a, b), (found, turned) in sorted(best.items())]


def _match(a: int, b: int, found: Alike, turned: bool) -> Match:
    kind = "cut" if found.share < WHOLE else "mirrored" if turned else "same"
    return Match(a, b, kind, found.similarity, found.share)
