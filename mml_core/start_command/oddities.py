"""What is odd about videos and classes: what one wants to know before hours of training."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from mml_core.annotations import Annotations
from mml_core.start_command.looks import Look

#: Fewer training videos of a class teach little more than what is behind the action.
FEW_VIDEOS = 10
#: Classes whose numbers of videos, and videos whose lengths or areas, differ by more are told.
MUCH = 10
#: Accuracy from fewer videos is not worth a digit.
FEW_HELD_OUT = 100
#: Frames of a clip; shorter videos repeat their last one.
CLIP_FRAMES = 8
LONG_SEC = 60
_SHOWN = 3


def oddities(annotations: Annotations, looks: Sequence[Look]) -> list[str]:
    """Return what is odd, a sentence each."""
    return [
        *_of_classes(annotations),
        *_of_splits(annotations),
        *_of_files(annotations, looks),
        *_of_lengths(looks),
        *_of_sizes(looks),
    ]


def _of_classes(annotations: Annotations) -> Iterator[str]:
    names = annotations.classes
    counts = Counter(label for video in annotations.videos if video.split == "train" for label in video.labels)
    if len(names) == 1:
        yield f"There is one class only ({names[0]!r}): nothing can be told apart."
        return
    few = [f"{names[label]!r} ({counts[label]})" for label in range(len(names)) if counts[label] < FEW_VIDEOS]
    if few:
        yield f"{len(few)} classes have fewer than {FEW_VIDEOS} training videos: {_some(few)}."
    most, least = max(counts.values()), min(counts[label] for label in range(len(names)))
    if most > MUCH * least:
        yield f"The largest class has {most} training videos, the smallest {least}: the class mean tells more."


def _of_splits(annotations: Annotations) -> Iterator[str]:
    counts = Counter(video.split for video in annotations.videos if video.labels)
    split = "test" if counts["test"] else "validation"
    if not counts[split]:
        yield "No video is held out to tell how good a network is."
    elif counts[split] < FEW_HELD_OUT:
        points = 98 / math.sqrt(counts[split])  # 95 % of a share of one half, by the normal distribution
        yield (
            f"{counts[split]} videos are held out ({split}): an accuracy from so few is uncertain by up to "
            f"{min(points, 100):.0f} points either way."
        )


def _of_files(annotations: Annotations, looks: Sequence[Look]) -> Iterator[str]:
    if faults := [f"{look.path!r} ({look.fault})" for look in looks if look.fault]:
        yield f"{len(faults)} of {len(looks)} videos that were looked at cannot be used: {_some(faults)}."
    spelt: dict[str, list[str]] = defaultdict(list)
    for video in annotations.videos:
        spelt[video.path.casefold()].append(video.path)
    if alike := [" and ".join(map(repr, paths)) for paths in spelt.values() if len(paths) > 1]:
        yield f"Names that differ in capitals only, which some systems take for one: {_some(alike)}."
    if annotations.passed_over:
        yield f"Files that are not taken for videos lie among them: {annotations.passed_over}."


def _of_lengths(looks: Sequence[Look]) -> Iterator[str]:
    known = [look for look in looks if not look.fault and not math.isnan(look.frames)]
    if short := [f"{look.path!r} ({look.frames:.0f} frames)" for look in known if round(look.frames) < CLIP_FRAMES]:
        yield f"{len(short)} videos are shorter than a clip of {CLIP_FRAMES} frames: {_some(short)}."
    if long := [f"{look.path!r} ({look.duration_sec:.0f} s)" for look in known if look.duration_sec > LONG_SEC]:
        yield (
            f"{len(long)} videos are longer than {LONG_SEC} s, of which {CLIP_FRAMES} frames show little: cut them to "
            f"the action: {_some(long)}."
        )
    lengths = [look.duration_sec for look in known if look.duration_sec > 0]
    if lengths and max(lengths) > MUCH * min(lengths):
        middle = statistics.median(lengths)
        yield f"Lengths differ much: {min(lengths):.1f} s to {max(lengths):.1f} s, half of them below {middle:.1f} s."


def _of_sizes(looks: Sequence[Look]) -> Iterator[str]:
    known = [look for look in looks if look.width and look.height]
    areas = [look.width * look.height for look in known]
    if areas and max(areas) > MUCH * min(areas):
        small, large = known[areas.index(min(areas))], known[areas.index(max(areas))]
        yield f"Pictures differ much in size: {small.width}x{small.height} to {large.width}x{large.height}."
    upright = sum(look.height > look.width for look in known)
    if 0 < upright < len(known):
        yield f"{upright} of {len(known)} videos are upright, the others wide: crops show other parts of them."


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
