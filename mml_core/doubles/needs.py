"""What the search for doubles will need, told before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mml_core.doubles.motion import SIDE, picture_numbers
from mml_core.doubles.sketch import BYTES_A_PICTURE
from mml_core.shards import ShardReader

#: Of the program itself with all that it imports, bytes.
_PROGRAM = 200 * 2**20
#: Pictures for each of which there is a moment, at most nearly always, and what a moment takes, bytes.
_A_MOMENT, _BYTES_A_MOMENT = 11, 400
#: What comparing took at so many moments, seconds of one processor; time grows with this power of their number.
_SECONDS, _MOMENTS, _POWER = 600.0, 890_000, 1.9


def picture_counts(paths: Sequence[Path]) -> list[int]:
    """Return how many pictures of each video will be compared that is in the shards `paths`."""
    counts = []
    for path in paths:
        with ShardReader(path) as shard:
            counts += [len(picture_numbers(entry.count, entry.frame_rate)) for entry in shard.videos.values()]
    return counts


def needs_text(counts: Sequence[int], threads: int) -> str:
    """Return what is to be said of memory and time before videos of so many pictures each are compared."""
    pictures = sum(counts)
    moments = pictures / _A_MOMENT
    memory = _PROGRAM + pictures * (SIDE**2 + BYTES_A_PICTURE) + moments * _BYTES_A_MOMENT
    minutes = _SECONDS * (moments / _MOMENTS) ** _POWER / threads / 60
    about = f"{len(counts)} videos, {pictures} small pictures: about {memory / 2**30:.1f} GiB of memory"
    return f"doubles: {about}; comparing takes about {max(1, round(minutes))} min once they are read"
