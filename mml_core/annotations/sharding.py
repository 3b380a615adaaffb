"""Which video is in which shard: decided by the data set alone, and changed as little as possible by new videos.

The videos of a split, sorted by id, are cut into shards where the content says so (content-defined chunking): before
each video whose hash is the smallest within a window around it. Such a cut depends on the ids within that window only,
so adding or removing a run of neighbouring videos changes the shards it falls into and at times one beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

from mml_core.annotations.types import Video
from mml_core.config.base import digest


def assign_shards(videos: Sequence[Video], videos_per_shard: int) -> dict[str, tuple[Video, ...]]:
    """Return the videos of every shard by its name, `<split>-<12 hex digits>`, in the order of splits and ids.

    The digits are a digest of the (id, path) rows, with spans where there are some, not of labels: a shard keeps its
    name exactly as long as its videos stay. A shard holds `videos_per_shard` videos on average, at least
    `smallest(videos_per_shard)` unless its split has fewer, and at most twice the average.
    """
    if videos_per_shard < 1:
        raise ValueError(f"videos_per_shard must be at least 1, got {videos_per_shard}")
    shards: dict[str, tuple[Video, ...]] = {}
    for split in sorted({video.split for video in videos}):
        members = sorted((video for video in videos if video.split == split), key=lambda video: video.video_id)
        hashes = [_hash(video.video_id) for video in members]
        starts = [0, *_cuts(hashes, smallest(videos_per_shard)), len(members)]
        for start, end in pairwise(starts):
            for first, last in _limited(hashes, start, end, videos_per_shard):
                shard = tuple(members[first:last])
                shards[f"{split}-{digest([_row(video) for video in shard], 12)}"] = shard
    return shards


def _row(video: Video) -> list[object]:
    return [video.video_id, video.path, *([list(video.span_sec)] if video.span_sec else [])]


def smallest(videos_per_shard: int) -> int:
    """Return the fewest videos of a shard, w: a hash is the smallest of its 2w - 1 neighbours every 2w - 1 videos."""
    return (videos_per_shard + 2) // 2


def _hash(video_id: str) -> bytes:
    return hashlib.blake2b(video_id.encode(), digest_size=12).digest()


def _cuts(hashes: Sequence[bytes], window: int) -> list[int]:
    """Return the positions, ascending, whose hash is smaller than all others less than `window` away.

    Positions nearer to either end than `window` are no cuts: the pieces there would be too small.
    """
    smaller_before = _distance_to_smaller(hashes)
    smaller_after = _distance_to_smaller(hashes[::-1])[::-1]
    inside = range(window, len(hashes) - window + 1)
    return [i for i in inside if i < len(hashes) and min(smaller_before[i], smaller_after[i]) >= window]


def _distance_to_smaller(hashes: Sequence[bytes]) -> list[int]:
    """Return how far before each position the nearest smaller hash is; the length of `hashes` where there is none."""
    distances: list[int] = []
    rising: list[int] = []  # positions of the hashes that are smaller than all after them
    for position, value in enumerate(hashes):
        while rising and hashes[rising[-1]] >= value:
            rising.pop()
        distances.append(position - rising[-1] if rising else len(hashes))
        rising.append(position)
    return distances


def _limited(hashes: Sequence[bytes], start: int, end: int, videos_per_shard: int) -> Iterator[tuple[int, int]]:
    """Yield `start` to `end` in pieces of at most twice the average, cut before the smallest hashes."""
    if end - start <= 2 * videos_per_shard:
        yield start, end
        return
    window = smallest(videos_per_shard)
    cut = min(range(start + window, end - window + 1), key=hashes.__getitem__)
    yield from _limited(hashes, start, cut, videos_per_shard)
    yield from _limited(hashes, cut, end, videos_per_shard)
