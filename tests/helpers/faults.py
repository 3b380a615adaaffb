"""Damaging files in ways that can be repeated."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path


def flip_bit(content: bytes, rng: random.Random) -> bytes:
    """Return `content` with one bit changed."""
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def zero_block(content: bytes, rng: random.Random) -> bytes:
    """Return `content` with up to 4096 bytes in a row set to zero, as a lost block of a disk reads."""
    first = rng.randrange(len(content))
    size = min(rng.choice((1, 16, 512, 4096)), len(content) - first)
    return content[:first] + bytes(size) + content[first + size :]


def truncate(content: bytes, rng: random.Random) -> bytes:
    """Return the beginning of `content`, possibly nothing."""
    return content[: rng.randrange(len(content))]


DAMAGES = (flip_bit, zero_block, truncate)


def damage_many(path: Path, tries: int, seed: int, outcome: Callable[[], str]) -> Counter:
    """Damage the file at `path` in `tries` ways, one at a time, and count what `outcome` says of each.

    The file ends as it was. Prints seed and counts; a damage that makes `outcome` raise is named by its number, so
    that it can be repeated.
    """
    good = path.read_bytes()
    counts: Counter[str] = Counter()
    try:
        for number in range(tries):
            rng = random.Random(f"{seed}/{number}")
            damage = DAMAGES[number % len(DAMAGES)]
            bad = damage(good, rng)
            path.write_bytes(bad)
            if bad == good:
                continue
            try:
                counts[f"{damage.__name__}: {outcome()}"] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}, damage {number} ({damage.__name__}) of {path.name}") from error
    finally:
        path.write_bytes(good)
    print(f"\n{path.name}: {tries} damages, seed {seed}: {dict(sorted(counts.items()))}")
    return counts
