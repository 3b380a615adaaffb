"""Moments that are near each other, in the index of all videos: exact, block by block, by compiled code.

Moments are sorted into leaves of `LEAF` that lie together, as in a k-d tree, each in a box. A moment is compared with
the boxes of `GROUP` leaves at once, then with the moments of those leaves that may hold a near one, also at once; both
in the coordinates first that differ most. What is near is bounded by `may_be_same` on the spot, so that nothing is kept
of the many pairs of moments that look alike in videos that do not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mml_core.doubles.motion import MIRROR, MIRROR_PLACES, places
from mml_core.doubles.sketch import Sketches, compiled, may_be_same

#: Distance of two moments in the index below which their videos are compared.
NEAR = 0.7
#: Moments of a leaf, leaves of a group.
LEAF, GROUP = 64, 16
#: Coordinates that are looked at first, and all, a multiple of four: those beyond a place's are 0.
_FIRST, _SIZE = 8, -(-len(MIRROR_PLACES) // 4) * 4
#: Candidates of a part for which there is room at first; where there are more, it is searched again.
_ROOM = 1 << 12
#: A coordinate that is far from all moments: of places that no moment takes. Its square is finite.
_FAR = np.float32(1e6)
_NEAR_SQUARED, _NONE = np.float32(NEAR**2), np.float32(0)
#: Signs of low frequencies, of places: as they are, and mirrored.
_TURNS = np.stack([np.ones_like(MIRROR), MIRROR])


class Index(NamedTuple):
    """Moments in leaves: G groups of leaves, B = G * GROUP leaves, D coordinates. Places without a moment are far."""

    places: np.ndarray  # (B, D, LEAF) float32
    low: np.ndarray  # (G, D, GROUP) float32: boxes of leaves
    high: np.ndarray  # (G, D, GROUP) float32
    moments: np.ndarray  # (B, LEAF) int64: number of the moment; -1 behind the last one
    turns: np.ndarray  # (2, D) float32: what places are multiplied with, mirrored (1) or not (0)


def index(sketches: Sketches) -> Index:
    """Return the index of the moments of videos."""
    at = sketches.starts[sketches.owners] + sketches.times
    found = places(sketches.low, at)
    order = np.argsort(-found.var(axis=0), kind="stable") if len(found) else np.arange(found.shape[1])
    beyond = ((0, 0), (0, _SIZE - found.shape[1]))
    found = np.pad(found[:, order], beyond)
    leaves = _leaves(found)
    groups = -(-len(leaves) // GROUP)
    blocks = np.full((groups * GROUP, _SIZE, LEAF), _FAR)
    low, high = np.full((2, groups, _SIZE, GROUP), _FAR)
    numbers = np.full((groups * GROUP, LEAF), -1)
    for leaf, members in enumerate(leaves):
        own = found[members]
        blocks[leaf, :, : len(members)], numbers[leaf, : len(members)] = own.T, members
        low[leaf // GROUP, :, leaf % GROUP], high[leaf // GROUP, :, leaf % GROUP] = own.min(axis=0), own.max(axis=0)
    turns = np.stack([np.ones_like(MIRROR_PLACES), MIRROR_PLACES])[:, order]
    return Index(blocks, low, high, numbers, np.pad(turns, beyond))


def _leaves(found: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of the rows of places (M, D) in parts of `LEAF` at most, neighbours in space side by side."""
    leaves, waiting = [], [np.arange(len(found))] if len(found) else []
    while waiting:
        members = waiting.pop()
        if len(members) <= LEAF:
            leaves.append(members)
            continue
        own = found[members]
        widest = own[:, np.argmax(np.ptp(own, axis=0))]
        half = -(-(len(members) // 2) // LEAF) * LEAF  # so that leaves are full
        half = half if half < len(members) else len(members) // 2
        order = np.argpartition(widest, half)
        waiting += [members[order[half:]], members[order[:half]]]
    return leaves


def near_pairs(sketches: Sketches, moments: Index, first: int, step: int) -> np.ndarray:
    """Return candidates (C, 4) int64: videos a < b, whether one is mirrored, and the shift of b's pictures to a's.

    They are those of the leaves first, first + step, … with themselves and later ones, which may show the same at the
    shift or next to it; sorted, each once.
    """
    room = _ROOM
    while True:
        found = np.empty((room, 4), np.int64)
        count = _search(*moments, *sketches, _TURNS, first, step, found)
        if count <= room:
            return np.unique(found[:count], axis=0)
        room = count


@compiled
def _search(
    blocks: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    numbers: np.ndarray,
    turns: np.ndarray,
    starts: np.ndarray,
    frequencies: np.ndarray,
    rest: np.ndarray,
    owners: np.ndarray,
    times: np.ndarray,
    signs: np.ndarray,
    first: int,
    step: int,
    found: np.ndarray,
) -> int:
    """Write candidates to `found` as far as there is room, and return how many there are."""
    size, count = blocks.shape[1], 0
    row, boxes, others = np.empty(size, np.float32), np.empty(GROUP, np.float32), np.empty(LEAF, np.float32)
    for leaf in range(first, len(blocks), step):
        for group in range(leaf // GROUP, len(low)):
            for turned in range(2):
                for i in range(LEAF):
                    if numbers[leaf, i] < 0:
                        break
                    for k in range(size):
                        row[k] = turns[turned, k] * blocks[leaf, k, i]
                    if not _boxes_are_near(row, low[group], high[group], boxes):
                        continue
                    for place in range(GROUP):
                        other = group * GROUP + place
                        if boxes[place] > _NEAR_SQUARED or other < leaf:
                            continue
                        if not _moments_are_near(row, blocks[other], others):
                            continue
                        for j in range(i + 1 if other == leaf else 0, LEAF):
                            if others[j] > _NEAR_SQUARED:
                                continue
                            one, two = numbers[leaf, i], numbers[other, j]
                            if owners[one] > owners[two]:
                                one, two = two, one
                            a, b, shift = owners[one], owners[two], times[two] - times[one]
                            if a == b or not may_be_same(starts, frequencies, rest, a, b, signs[turned], shift):
                                continue
                            if count < len(found):
                                found[count, 0], found[count, 1] = a, b
                                found[count, 2], found[count, 3] = turned, shift
                            count += 1
    return count


@compiled
def _boxes_are_near(row: np.ndarray, low: np.ndarray, high: np.ndarray, squares: np.ndarray) -> bool:
    """Write the squared distances of a place (D,) from boxes (D, GROUP), and return whether one may be near.

    Where it returns False, they are not complete. Four coordinates at once, so that sums are read and written less.
    """
    squares[:] = 0
    for part in ((0, _FIRST), (_FIRST, len(row))):
        for k in range(part[0], part[1], 4):
            at, at_1, at_2, at_3 = row[k], row[k + 1], row[k + 2], row[k + 3]
            for j in range(GROUP):
                outside = max(max(low[k, j] - at, at - high[k, j]), _NONE)
                outside_1 = max(max(low[k + 1, j] - at_1, at_1 - high[k + 1, j]), _NONE)
                outside_2 = max(max(low[k + 2, j] - at_2, at_2 - high[k + 2, j]), _NONE)
                outside_3 = max(max(low[k + 3, j] - at_3, at_3 - high[k + 3, j]), _NONE)
                squares[j] += outside**2 + outside_1**2 + outside_2**2 + outside_3**2
        if _least(squares) > _NEAR_SQUARED:
            return False
    return True


@compiled
def _moments_are_near(row: np.ndarray, block: np.ndarray, squares: np.ndarray) -> bool:
    """Write the squared distances of a place (D,) from those of a leaf (D, LEAF), and return whether one is near.

    As `_boxes_are_near` does it.
    """
    squares[:] = 0
    for part in ((0, _FIRST), (_FIRST, len(row))):
        for k in range(part[0], part[1], 4):
            at, at_1, at_2, at_3 = row[k], row[k + 1], row[k + 2], row[k + 3]
            for j in range(LEAF):
                apart, apart_1 = block[k, j] - at, block[k + 1, j] - at_1
                apart_2, apart_3 = block[k + 2, j] - at_2, block[k + 3, j] - at_3
                squares[j] += apart * apart + apart_1 * apart_1 + apart_2 * apart_2 + apart_3 * apart_3
        if _least(squares) > _NEAR_SQUARED:
            return False
    return True


@compiled
def _least(values: np.ndarray) -> np.float32:
    least = values[0]
    for j in range(len(values)):
        least = min(least, values[j])
    return least
