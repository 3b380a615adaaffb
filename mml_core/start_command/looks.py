"""A quick look at videos: whether their first frame can be decoded, and what their containers state."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from mml_core.annotations import Annotations, Video
from mml_core.config.dataset import Limits
from mml_core.runtime.parallel import in_order, progress
from mml_core.video.decode import DecodedVideo
from mml_core.video.sources import VideoError

#: As many videos are looked at at most, evenly over all.
MOST_LOOKS = 400
#: A video whose first frames take longer is no usual one.
_LIMITS = Limits(decode_timeout_sec=30)
_PX = 32


@dataclass(frozen=True)
class Look:
    """What is seen of a video; NaN and 0 where its container does not say."""

    path: str  # below the folder of the videos
    fault: str = ""  # why it cannot be used; empty where it can
    duration_sec: float = math.nan
    frames: float = math.nan
    width: int = 0
    height: int = 0


def look_at(annotations: Annotations, threads: int) -> list[Look]:
    """Return what is seen of the videos, of `MOST_LOOKS` of them where there are more; shows progress."""
    chosen = sampled(annotations.videos, MOST_LOOKS)
    found = []
    with progress(len(chosen), "looking at videos", "videos") as bar:
        for look in in_order(partial(_look, annotations.root), chosen, threads):
            found.append(look)
            bar.update()
    return found


def sampled(videos: Sequence[Video], most: int) -> list[Video]:
    """Return `most` of `videos` at even distances, or all where there are no more."""
    if len(videos) <= most:
        return list(videos)
    return [videos[index * len(videos) // most] for index in range(most)]


def _look(root: Path, video: Video) -> Look:
    decoded = DecodedVideo(root / video.path, _PX, _LIMITS, end=2)
    try:
        with closing(iter(decoded)) as frames:
            first = _first_two(frames)
    except VideoError as error:
        return Look(video.path, str(error))
    if not first:
        return Look(video.path, "no frame can be decoded")
    stated = decoded.stated
    frames_stated = stated.duration_sec * stated.frame_rate
    return Look(video.path, "", stated.duration_sec, frames_stated, stated.width, stated.height)


def _first_two(frames: Iterator[object]) -> int:
    """Return how many frames there are, 2 at most; reads to the end, where a fault of these is told."""
    return sum(1 for _ in islice(frames, 3))
