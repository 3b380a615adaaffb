"""Which videos could not be used, and whether they are too many."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mml_core.annotations import Video
from mml_core.errors import InputError, summarise
from mml_core.io.files import write_text
from mml_core.plan.stages import DataPlan
from mml_core.shards.reader import ShardReader


class Quarantined(NamedTuple):
    """A row of the table, and its columns."""

    split: str
    video_id: str
    path: str
    reason: str


def write_quality_table(plan: DataPlan, shard_folder: Path, output: Path) -> None:
    """Write a CSV row for every quarantined video in the rgb shards of `shard_folder`, sorted by split and id.

    Videos that the annotations list and that are not there, where that is no fault (Kinetics), have rows too; they do
    not count for the share that may be quarantined. Raises InputError, after writing nothing, where `check_share` or
    `check_classes` does.
    """
    rows = sorted(_quarantined(plan, shard_folder))
    check_share(
        rows, Counter(video.split for video in plan.annotations.videos), plan.config.limits.max_quarantined_share
    )
    check_classes(plan, {row.video_id: row.reason for row in rows})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Quarantined._fields)
    writer.writerows(sorted([*rows, *(Quarantined(*video) for video in plan.annotations.missing)]))
    write_text(output, text.getvalue())


def _quarantined(plan: DataPlan, shard_folder: Path) -> Iterator[Quarantined]:
    for name, videos in plan.shards.items():
        paths = {video.video_id: (video.split, video.path) for video in videos}
        with ShardReader(shard_folder / f"{name}.h5") as shard:
            if {*shard.videos, *shard.quarantined} != set(paths):
                raise InputError(
                    "holds other videos than the data set says", file=shard.path, hint="run snakemake again"
                )
            for video_id, reason in shard.quarantined.items():
                split, path = paths[video_id]
                yield Quarantined(split, video_id, path, reason)


def check_share(rows: Sequence[Quarantined], totals: Mapping[str, int], most: float) -> None:
    """Raise InputError where `rows` are more than the share `most` of the `totals` of a split.

    A single one is too many only where `most` is 0.
    """
    counts = Counter(row.split for row in rows)
    excessive = [split for split, count in counts.items() if count > (max(1.0, most * totals[split]) if most else 0)]
    if excessive:
        shares = ", ".join(
            f"{counts[split]} of {totals[split]} videos of split {split} ({counts[split] / totals[split]:.1%})"
            for split in excessive
        )
        faults = [f"{row.path}: {row.reason}" for row in rows if row.split in excessive]
        raise InputError(
            f"too many videos cannot be used: {shares}, and at most {most:.1%} may be:\n{summarise(faults)}",
            hint="repair or leave out these videos, or raise limits.max_quarantined_share in the data set's file",
        )


def check_classes(plan: DataPlan, unusable: Mapping[str, str]) -> None:
    """Raise InputError where all training videos of a class are `unusable`, by id with the reason.

    However few they are: what was never seen cannot be learnt, as annotations without such videos are refused too.
    """
    by_class: dict[int, list[Video]] = {}
    for video in plan.videos("train"):
        for label in video.labels:
            by_class.setdefault(label, []).append(video)
    lost = {
        label: videos
        for label, videos in sorted(by_class.items())
        if all(video.video_id in unusable for video in videos)
    }
    if lost:
        faults = [
            f"class {plan.annotations.classes[label]!r}, {video.path}: {unusable[video.video_id]}"
            for label, videos in lost.items()
            for video in videos
        ]
        raise InputError(
            f"{len(lost)} class(es) without a training video that can be used, in data set {plan.config.name!r}:\n"
            + summarise(faults),
            hint="repair these videos, add others, or take the class out",
        )
