"""What `mml start` prints of videos."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from mml_core.annotations import Annotations
from mml_core.evaluation.markdown import pad_columns
from mml_core.start_command.looks import Look

_SPLITS = ("train", "validation", "test")
_MOST_CLASSES = 30


def counts_text(name: str, annotations: Annotations) -> str:
    """Return how many videos each class has in each split as a Markdown table; the largest classes where many."""
    splits = [split for split in _SPLITS if any(video.split == split for video in annotations.videos)]
    counts = Counter((label, video.split) for video in annotations.videos for label in video.labels)
    labels = range(len(annotations.classes))
    largest = sorted(labels, key=lambda label: -sum(counts[label, split] for split in splits))[:_MOST_CLASSES]
    rows = [
        [" ".join(annotations.classes[label].split()), *(str(counts[label, split]) for split in splits)]
        for label in sorted(largest)
    ]
    totals = Counter(video.split for video in annotations.videos)
    rows.append(["all", *(str(totals[split]) for split in splits)])
    head = f"Data set {name}: {len(annotations.videos):,} videos, {len(annotations.classes)} classes"
    more = f" (the {_MOST_CLASSES} largest are listed)" if len(annotations.classes) > _MOST_CLASSES else ""
    return "\n".join([f"{head}{more}.", "", *pad_columns([["Class", *splits], *rows]), ""])


def looks_text(annotations: Annotations, looks: Sequence[Look]) -> str:
    """Return how long and how large videos are, and in what containers."""
    endings = Counter(PurePath(video.path).suffix.lower() for video in annotations.videos)
    parts = [f"{len(looks)} looked at" if len(looks) < len(annotations.videos) else "all looked at"]
    parts.append(", ".join(f"{count} {ending}" for ending, count in endings.most_common()))
    lengths = [look.duration_sec for look in looks if not look.fault and not math.isnan(look.duration_sec)]
    if lengths:
        parts.append(f"{min(lengths):.1f} to {max(lengths):.1f} s, half below {statistics.median(lengths):.1f} s")
    sizes = Counter(f"{look.width}x{look.height}" for look in looks if look.width)
    if sizes:
        common = sizes.most_common(1)[0]
        parts.append(f"mostly {common[0]}" if len(sizes) > 1 else common[0])
    return f"Videos: {'; '.join(parts)}."
