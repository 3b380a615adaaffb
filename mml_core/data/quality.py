"""Which videos could not be used, and whether they are too many."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mml_core.annotations import Video
from mml_core.doubles.rows import Double
from mml_core.errors import InputError, summarise
from mml_core.io.files import write_text
from mml_core.io.tables import read_rows, table_text
from mml_core.plan.stages import DataPlan
from mml_core.shards.reader import ShardReader


class Quarantined(NamedTuple):
    """A row of the table, and its columns."""

    dataset: str
    split: str
    video_id: str
    path: str
    modality: (
        str  # that lacks it, or is silent; those derived from decoded frames where these are there; empty: no file
    )
    reason: str


def write_quality_table(plan: DataPlan, shards: Path, made: Mapping[str, Sequence[str]], output: Path) -> None:
    """Write a CSV row for every video that a modality lacks, or of which it has silence, sorted by split and id.

    Args:
        plan: the data set.
        shards: folder with a folder of shards for each modality.
        made: which splits of which modalities are there; decoded frames are among them.
        output: the table.

    Videos that the annotations list and that are not there, where that is no fault (Kinetics), have rows too; they do
    not count for the share that may be quarantined. Raises InputError, after writing nothing, where too many videos
    have no decoded frames (`check_share`), or all training videos of a class (`check_classes`), and where a shard is
    missing or of other videos.
    """
    frames = plan.config.rgb_name
    undecoded = _quarantined(plan, shards, frames, made[frames])
    check_share(
        undecoded, Counter(video.split for video in plan.annotations.videos), plan.config.limits.max_quarantined_share
    )
    check_classes(plan, {row.video_id: row.reason for row in undecoded})
    known = {row.video_id for row in undecoded}
    rows = [*undecoded, *(Quarantined(plan.config.name, *one[:3], "", one.reason) for one in plan.annotations.missing)]
    # what is made of the frames when clips are read lacks the videos that these lack
    stored = {name for name in made if plan.config.is_stored(name)}
    for modality in sorted(stored - {frames}):
        rows += [row for row in _quarantined(plan, shards, modality, made[modality]) if row.video_id not in known]
    _write(rows, output)


def join_quality_tables(tables: Iterable[Path], doubles: Mapping[str, Path], output: Path) -> None:
    """Write the rows of several such tables, each once, and a row for each video with a double that is a fault.

    `doubles` are the tables of doubles by data set. A fault are two in different splits, or with other labels.
    """
    rows = {row for dataset, table in doubles.items() for row in _faulty_doubles(dataset, table)}
    for table in tables:
        with table.open(newline="", encoding="utf-8") as file:
            rows |= {Quarantined(**row) for row in csv.DictReader(file)}
    _write(rows, output)


def _faulty_doubles(dataset: str, table: Path) -> Iterator[Quarantined]:
    for row in read_rows(table, Double):
        if row.warning:
            a, b = (row.video_a, row.split_a, row.labels_a), (row.video_b, row.split_b, row.labels_b)
            for (video, split, _), (other, *about) in ((a, b), (b, a)):
                reason = f"shows the same as {other!r} ({', '.join(about)}), {row.kind}: {row.warning}"
                yield Quarantined(dataset, split, video, "", "", reason)


def _write(rows: Iterable[Quarantined], output: Path) -> None:
    write_text(output, table_text(Quarantined._fields, sorted(rows)))


def _quarantined(plan: DataPlan, shards: Path, modality: str, splits: Sequence[str]) -> list[Quarantined]:
    """Return the videos of `splits` that the shards of a modality lack, or have something to tell of: silent ones."""
    rows = []
    for name in plan.shard_names(splits):
        paths = {video.video_id: (video.split, video.path) for video in plan.shards[name]}
        with ShardReader(shards / plan.config.modality_key(modality) / f"{name}.h5") as shard:
            if {*shard.videos, *shard.quarantined} != set(paths):
                raise InputError(
                    "holds other videos than the data set says", file=shard.path, hint="run snakemake again"
                )
            for video_id, reason in {**shard.quarantined, **shard.notes}.items():
                split, path = paths[video_id]
                rows.append(Quarantined(plan.config.name, split, video_id, path, modality, reason))
    return rows


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
