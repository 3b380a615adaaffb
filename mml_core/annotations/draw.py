"""Which groups of videos a drawn split holds out for validation.

A group that is in no table is held out where the SHA-256 of its name, as a fraction of the largest, is below the share:
this depends on its name and on nothing else, so no other group that comes, goes or is renamed changes it. Of few groups
such a draw is uneven, however. An even one cannot be kept without a record, which is a table of
groups and splits: see `recorded`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mml_core.annotations.types import Row

#: More passes over all groups than any draw was seen to take.
_MOST_PASSES = 20
#: What a class costs that has no video in one of the splits, although it could: more than any unevenness.
_LACKING = 1e6


def joined(names: Sequence[str], video_ids: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return `names` (of the group of each video) with those of groups that `pairs` of videos join made one.

    It is the first of them by alphabet. Pairs of a video that is not there are passed over.
    """
    parents: dict[str, str] = {name: name for name in names}

    def top(name: str) -> str:
        while parents[name] != name:
            parents[name] = name = parents[parents[name]]
        return name

    group_of = dict(zip(video_ids, names, strict=True))
    for a, b in pairs:
        if a in group_of and b in group_of:
            first, second = sorted((top(group_of[a]), top(group_of[b])))
            parents[second] = first
    return [top(name) for name in names]


def hashed_split(name: str, share: float) -> str:
    """Return the split of the group `name`: train, or validation with the probability `share`."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return "validation" if number < share * 2**64 else "train"


def kept_split(names: Iterable[str], known: Mapping[str, str], share: float) -> str:
    """Return the split of the groups `names`, which belong together: of one that is known, else by hash of the first.

    Where those known differ, it is validation.
    """
    found = {known[name] for name in names if name in known}
    if found:
        return "validation" if "validation" in found else "train"
    return hashed_split(min(names), share)


def balanced_splits(
    groups: Sequence[str], labels: Sequence[tuple[str, ...]], known: Mapping[str, str], share: float
) -> dict[str, str]:
    """Return the split of every group, such that `share` of each class's videos is held out as nearly as groups allow.

    Args:
        groups: the group of each video.
        labels: its classes.
        known: groups whose split stays as it is.
        share: part of each class that is wanted in validation.

    All but the known begin in training. In the order of their hashes each is moved to the other split where that lowers
    the sum, over classes, of the squared relative error of the number held out; until none is. A class without a
    training or a validation video costs more than any error. The same groups give the same splits, in any order.
    """
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    totals: Counter[str] = Counter()
    for group, classes in zip(groups, labels, strict=True):
        sizes[group].update(classes or ("",))
        totals.update(classes or ("",))
    splits = {group: known.get(group, "train") for group in sizes}
    held: Counter[str] = Counter()
    for group in sizes:
        if splits[group] == "validation":
            held.update(sizes[group])
    movable = sorted(set(sizes) - set(known), key=lambda group: hashlib.sha256(group.encode()).digest())
    for _ in range(_MOST_PASSES):
        moved = [_moved(group, sizes[group], totals, held, splits, share) for group in movable]
        if not any(moved):
            break
    return splits


def _moved(
    group: str, size: Counter[str], totals: Counter[str], held: Counter[str], splits: dict[str, str], share: float
) -> bool:
    """Move a group to the other split where that costs less; return whether it was."""
    sign = 1 if splits[group] == "train" else -1
    now = sum(_cost(held[name], totals[name], share) for name in size)
    then = sum(_cost(held[name] + sign * count, totals[name], share) for name, count in size.items())
    if then >= now - 1e-12:
        return False
    splits[group] = "validation" if sign > 0 else "train"
    for name, count in size.items():
        held[name] += sign * count
    return True


def _cost(held: int, total: int, share: float) -> float:
    lacking = 2 * _LACKING * (held == total) + _LACKING * (held == 0 and total > 1)
    return lacking + ((held - share * total) / (share * total)) ** 2


def with_splits(rows: Iterable[Row], groups: Iterable[str], splits: Mapping[str, str]) -> list[Row]:
    """Return `rows`, each of which has a group, with the split of the group."""
    return [row._replace(split=splits[group]) for row, group in zip(rows, groups, strict=True)]
