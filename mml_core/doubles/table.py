"""From what is seen of a data set's videos to the rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping

from mml_core.annotations import Annotations, Video
from mml_core.doubles.match import matches
from mml_core.doubles.rows import ACROSS, DIFFERENT, JOINT, Double, SeenVideo
from mml_core.doubles.seen import Seen


def find_doubles(annotations: Annotations, seen: Mapping[str, Seen], threads: int = 1) -> list[Double]:
    """Return the pairs of videos that show the same: those in two splits first, then those with other labels.

    Videos are compared by `threads` threads.
    """
    videos = [video for video in annotations.videos if video.video_id in seen]
    found = matches([seen[video.video_id].pictures for video in videos], threads)
    rows = [
        _double(annotations, match.kind, match.similarity, match.share, videos[match.a], videos[match.b])
        for match in found
    ]
    return sorted(
        rows, key=lambda row: (*(told not in row.warning for told in (ACROSS, DIFFERENT)), row.video_a, row.video_b)
    )


def _double(annotations: Annotations, kind: str, similarity: float, share: float, a: Video, b: Video) -> Double:
    a, b = sorted((a, b), key=lambda video: video.video_id)
    told = [text for text, holds in ((ACROSS, a.split != b.split), (DIFFERENT, a.labels != b.labels)) if holds]
    ends = [(one.video_id, one.split, labels_text(annotations, one)) for one in (a, b)]
    return Double(kind, f"{similarity:.3f}", f"{share:.2f}", *ends[0], *ends[1], ", ".join(told))


def seen_videos(annotations: Annotations, seen: Mapping[str, Seen]) -> list[SeenVideo]:
    """Return a row for each of the videos that were seen, in the order of splits and ids."""
    return [_row(annotations, video, seen[video.video_id]) for video in annotations.videos if video.video_id in seen]


def _row(annotations: Annotations, video: Video, seen: Seen) -> SeenVideo:
    rate = f"{seen.frame_rate:g}" if seen.frame_rate > 0 else ""
    about = (video.video_id, video.split, labels_text(annotations, video), video.group)
    size = (str(seen.frames), rate, str(seen.width), str(seen.height))
    return SeenVideo(*about, *size, f"{seen.change:.2f}", "yes" if seen.is_still else "")


def labels_text(annotations: Annotations, video: Video) -> str:
    """Return the names of a video's classes."""
    return JOINT.join(annotations.classes[label] for label in video.labels)
