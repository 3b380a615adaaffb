"""Which row of the tables of a run to take: scores of all their rows in, the choice and its reasons out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError

from mml_core.config.base import Strict
from mml_core.config.references import split_reference
from mml_core.errors import InputError
from mml_core.evaluation.differences import NO_DIFFERENCE, Difference, difference, map_difference
from mml_core.evaluation.diverged import divergence
from mml_core.evaluation.members import Combined
from mml_core.evaluation.metrics import mean_average_precision
from mml_core.evaluation.recommendation import Rated, best_of, choose_row
from mml_core.evaluation.runs import Run, combine_runs, hits_of_runs
from mml_core.evaluation.table import JOINT, percent, points
from mml_core.io.files import write_text
from mml_core.report.rows import shared_rows


class Compared(Strict):
    """A row that was compared. Numbers are text as tables have them: percentages and percentage points."""

    name: str
    recipes: tuple[str, ...]
    members: tuple[str, ...]  # stage.network or stage.network.part
    weights: tuple[float, ...]
    fusion: Literal["", "logits", "probabilities"]
    seeds: int
    value: str
    interval: tuple[str, str] | None  # of the value; None where there is none
    gflops: str  # of the networks and, at most, of the flow that they read
    behind: str  # how far it is behind the best row; nothing for the best
    behind_interval: tuple[str, str] | None
    p: str  # adjusted for the number of rows; nothing where it is not known
    level: bool  # whether it cannot be told apart from the best


class Recommendation(Strict):
    """Which row to take of those that were compared; None where there is none that can be compared."""

    dataset: str
    metric: Literal["top1", "map"]
    videos: int
    groups: int | None  # of videos that share something; None where none do
    rows: tuple[Compared, ...]
    best: int | None
    chosen: int | None
    left_out: dict[str, str]  # rows that were not compared: why
    weights: dict[str, str] = Field(default={})  # of the chosen row's stages: where their weights are

    @property
    def row(self) -> Compared | None:
        """The row to take."""
        return None if self.chosen is None else self.rows[self.chosen]


def recommend(
    dataset: str, table: pd.DataFrame, runs: Mapping[str, Sequence[Run]], weights: Mapping[str, Mapping[str, str]]
) -> Recommendation:
    """Return which row of `table`, the rows of all recipes, to take.

    Args:
        dataset: rows about others are not compared.
        table: as `table.combine_tables` returns it.
        runs: the networks of each recipe by run.
        weights: where the weights of each recipe's stages are, by recipe and stage.

    Compared are values on the videos that all rows have scores of. Raises InputError where scores are missing.
    """
    left_out: dict[str, str] = {}
    kept: list[tuple[dict[str, str], list[Combined]]] = []
    rows = shared_rows(table).to_dict("records")
    for row in rows:
        combined = _combined(row, runs)
        if row["dataset"] != dataset:
            left_out[row["name"]] = f"it is about data set {row['dataset']}"
        elif row["split"] != rows[0]["split"]:
            left_out[row["name"]] = f"it is about split {row['split']}"
        elif told := divergence(combined):
            left_out[row["name"]] = f"its training {told}"
        else:
            kept.append((row, combined))
    videos = _shared_videos([combined for _, combined in kept])
    if not videos:
        reasons = {row["name"]: "no video has scores of all rows" for row, _ in kept}
        return Recommendation(
            dataset=dataset,
            metric="top1",
            videos=0,
            groups=None,
            rows=(),
            best=None,
            chosen=None,
            left_out={**left_out, **reasons},
        )
    return _choose(dataset, [(row, [_of(one, videos) for one in own]) for row, own in kept], left_out, weights)


def read_recommendation(path: Path) -> Recommendation:
    """Read what `write_recommendation` wrote; raises InputError where `path` is something else."""
    try:
        return Recommendation.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"cannot be read as a recommendation ({error})", file=path) from error


def write_recommendation(path: Path, recommendation: Recommendation) -> None:
    """Write `recommendation` as JSON."""
    write_text(path, json.dumps(recommendation.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def _choose(
    dataset: str,
    kept: Sequence[tuple[dict[str, str], list[Combined]]],
    left_out: dict[str, str],
    weights: Mapping[str, Mapping[str, str]],
) -> Recommendation:
    rated = [Rated(_value(combined), _gflops(row)) for row, combined in kept]
    best = best_of(rated)
    behind = [_difference(kept[best][1], combined) for _, combined in kept]
    choice = choose_row(rated, [one.p for one in behind])
    rows = [
        _compared(row, one, far, p, level, is_best=place == best)
        for place, ((row, _), one, far, p, level) in enumerate(
            zip(kept, rated, behind, choice.p, choice.level, strict=True)
        )
    ]
    first = kept[best][1][0]
    chosen = rows[choice.chosen]
    stages = dict.fromkeys(split_reference(member)[0] for member in chosen.members)
    return Recommendation(
        dataset=dataset,
        metric="map" if first.labels.ndim == 2 else "top1",
        videos=len(first.video_ids),
        groups=None if first.groups is None else int(first.groups.max()) + 1,
        rows=tuple(rows),
        best=best,
        chosen=choice.chosen,
        left_out=left_out,
        weights={stage: weights[chosen.recipes[0]][stage] for stage in stages},
    )


def _compared(row: Mapping[str, str], one: Rated, far: Difference, p: float, level: bool, *, is_best: bool) -> Compared:
    interval = (row["top1_low"], row["top1_high"]) if row["top1_low"] else None
    known = not is_best and not np.isnan(far.low)
    return Compared(
        name=row["name"],
        recipes=tuple(row["recipe"].split(", ")),
        members=tuple(row["members"].split(JOINT)),
        weights=tuple(float(weight) for weight in row["weights"].split(JOINT)),
        fusion=row["fusion"],
        seeds=int(row["seeds"]),
        value=percent(one.value),
        interval=interval,
        gflops=f"{one.gflops:.3f}",
        behind="" if is_best else points(-far.value),
        behind_interval=(points(-far.high), points(-far.low)) if known else None,
        p="" if np.isnan(p) else f"{p:.4f}",
        level=level,
    )


def _combined(row: Mapping[str, str], runs: Mapping[str, Sequence[Run]]) -> list[Combined]:
    """Return what the row says in each run of the first recipe that has it."""
    weights = [float(weight) for weight in row["weights"].split(JOINT)]
    fusion = "probabilities" if row["fusion"] == "probabilities" else "logits"
    return combine_runs(runs[row["recipe"].split(", ")[0]], row["members"].split(JOINT), weights, fusion)


def _shared_videos(rows: Sequence[Sequence[Combined]]) -> list[str]:
    """Return the videos that all `rows` have, in the order of the first one's."""
    if not rows:
        return []
    shared = set.intersection(*(set(combined[0].video_ids) for combined in rows))
    return [video for video in rows[0][0].video_ids if video in shared]


def _of(combined: Combined, videos: Sequence[str]) -> Combined:
    """Return what `combined` says of `videos`, in their order."""
    place = {video: index for index, video in enumerate(combined.video_ids)}
    order = np.array([place[video] for video in videos])
    groups = None if combined.groups is None else np.unique(combined.groups[order], return_inverse=True)[1]
    return Combined(
        combined.classes, tuple(videos), combined.labels[order], combined.scores[order], groups, combined.diverged
    )


def _value(combined: Sequence[Combined]) -> float:
    if combined[0].labels.ndim == 2:
        return float(np.mean([mean_average_precision(one.scores, one.labels) for one in combined]))
    return float(hits_of_runs(combined, 1).mean())


def _gflops(row: Mapping[str, str]) -> float:
    """Return the operations of a row's networks and, where they are known, of the flow that they read, at most."""
    return float(row["gflops_per_video"]) + float(row["flow_gflops_at_most"] or 0)


def _difference(better: Sequence[Combined], worse: Sequence[Combined]) -> Difference:
    """Return how far `worse` is behind, over the runs that both have; nothing is known of a row and itself."""
    if better is worse:
        return NO_DIFFERENCE
    seeds = min(len(better), len(worse))
    ours, theirs, first = better[:seeds], worse[:seeds], better[0]
    if first.labels.ndim == 2:
        scores = ([one.scores for one in side] for side in (ours, theirs))
        return map_difference(*scores, first.labels, first.groups)
    return difference(hits_of_runs(ours, 1), hits_of_runs(theirs, 1), first.groups)
