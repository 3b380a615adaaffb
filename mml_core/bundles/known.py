"""What is known of a row, from its scores and its data set: how good it is, how sure, what it was trained on."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mml_core.bundles.format import DataFacts, Metric
from mml_core.bundles.rows import Row
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.evaluation.diverged import divergence
from mml_core.evaluation.members import Combined
from mml_core.evaluation.metrics import mean_average_precision, mean_class_accuracy
from mml_core.evaluation.runs import Run, combine_runs, hits_of_runs, load_runs
from mml_core.evaluation.temperature import rounded
from mml_core.evaluation.uncertainty import estimate
from mml_core.plan.places import score_path, shard_paths
from mml_core.plan.products import Runs, score_sources
from mml_core.plan.stages import DataPlan
from mml_core.shards.reader import ShardReader

#: With fewer classes the five best are no news.
_CLASSES_FOR_TOP5 = 10


def in_results(path: str, results: Path) -> Path:
    """Return where a path of the plan, which begins with `<results>`, is."""
    return results / path.removeprefix("<results>/")


def scores_of(recipe: RecipeConfig, runs: Runs, row: Row, split: str, results: Path) -> dict[str, Path]:
    """Return the score files of a row on a split by stage; of the one run in `runs`."""
    sources = score_sources(recipe, runs, row.members, split, row.protocol)
    return {source.label: in_results(score_path(source.file), results) for source in sources}


def read_run(recipe: RecipeConfig, row: Row, files: dict[str, Path], data: DataPlan) -> Run:
    """Return the networks of a row with their scores.

    Raises InputError where a file is missing, cannot be read, or is of a training that diverged.
    """
    if missing := [path for path in files.values() if not path.is_file()]:
        target = f"results/{row.table}.csv" if row.table in recipe.tables else f"results/tables/{row.table}.csv"
        raise InputError("there are no such scores yet", file=missing[0], hint=f"`snakemake -- {target}` makes them")
    groups = dict.fromkeys(files, data.groups) if data.groups else None
    protocol = recipe.protocols[row.protocol]
    (run,) = load_runs(files, groups, references=list(row.members), protocol=protocol)
    return run


def combined_of(row: Row, run: Run) -> Combined:
    """Return the scores of the row; raises InputError where a training diverged, or labels are not known."""
    combined = combine_runs([run], list(row.members), list(row.members.values()), row.fusion)
    if told := divergence(combined):
        raise InputError(f"{row.name}: {told}: there is no model", hint="take another row")
    return combined[0]


def metrics_of(combined: Combined) -> dict[str, Metric]:
    """Return the metrics that the row's table has of it, for one run."""
    if combined.labels.ndim == 2:
        value = mean_average_precision(combined.scores, combined.labels)
        return {"mean_average_precision": _metric(value)} if math.isfinite(value) else {}
    best = {"top1": 1} | ({"top5": 5} if len(combined.classes) >= _CLASSES_FOR_TOP5 else {})
    found = {}
    for name, count in best.items():
        result = estimate(hits_of_runs([combined], count), combined.groups)
        found[name] = _metric(result.value, result.low, result.high)
    return {**found, "mean_class_accuracy": _metric(mean_class_accuracy(combined.scores, combined.labels))}


def facts_of(data: DataPlan, results: Path) -> DataFacts:
    """Return what a person wants to know of the data set that a model was trained on."""
    videos, classes = data.annotations.videos, data.annotations.classes
    counts = Counter(video.split for video in videos)
    labels = Counter(label for video in data.videos("train") for label in set(video.labels))
    return DataFacts(
        name=data.config.name,
        videos=dict(sorted(counts.items())),
        training_labels={name: labels[number] for number, name in enumerate(classes)},
        median_sec=_median_sec(data, results),
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _median_sec(data: DataPlan, results: Path) -> float | None:
    """Return the median length of the training videos, from those shards of their frames that are there."""
    paths = [in_results(path, results) for path in shard_paths(data, [data.config.rgb_name], ["train"])]
    lengths = list(_lengths_sec(path for path in paths if path.is_file()))
    return round(float(np.median(lengths)), 3) if lengths else None


def _lengths_sec(shards: Iterable[Path]) -> Iterable[float]:
    for path in shards:
        with ShardReader(path) as reader:
            yield from (one.count / one.frame_rate for one in reader.videos.values() if one.frame_rate > 0)


def _metric(value: float, low: float = math.nan, high: float = math.nan) -> Metric:
    return Metric(value=rounded(value), **({} if math.isnan(low) else {"low": rounded(low), "high": rounded(high)}))
