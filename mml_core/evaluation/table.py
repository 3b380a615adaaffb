"""The ensemble table: one row a network, one row an ensemble.

A table is a pandas DataFrame of text, with the numbers already rounded as they are published: what is written is what
is read back, stacked and shown. With several runs (seeds) of a recipe its numbers are means over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from mml_core.config.base import Strict
from mml_core.config.dataset import Name
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.references import split_reference
from mml_core.config.tables import TableConfig
from mml_core.config.views import disturbances
from mml_core.errors import InputError
from mml_core.evaluation.costs import COST_COLUMNS
from mml_core.evaluation.diverged import divergence
from mml_core.evaluation.members import Combined, Fusion, Member, combine, pick, row_costs
from mml_core.evaluation.metrics import mean_average_precision, mean_class_accuracy
from mml_core.evaluation.runs import Run, combine_runs, hits_of_runs
from mml_core.evaluation.uncertainty import estimate
from mml_core.io.files import write_text

#: Columns of every table. Shares are percentages, top1_std the standard deviation over runs (empty for a single one);
#: top1_low and top1_high enclose 95 % (see uncertainty.estimate; empty where all videos are of one group); groups
#: counts those of the videos, and is empty where these share nothing; what scores take is in costs.COST_COLUMNS.
COLUMNS = (
    "dataset",
    "recipe",
    "name",
    "kind",
    "members",
    "weights",
    "fusion",
    "protocol",
    "split",
    "videos",
    "groups",
    "quarantined",
    "seeds",
    "top1",
    "top1_std",
    "top1_low",
    "top1_high",
    "top5",
    "top5_std",
    "top5_low",
    "top5_high",
    "mean_class_accuracy",
    *COST_COLUMNS,
)
#: More columns where a video may have several labels; the accuracies are empty there.
MULTI_LABEL_COLUMN = "map"
MULTI_LABEL_COLUMNS = (MULTI_LABEL_COLUMN, "map_std")
JOINT = " + "
#: How many of a video's best classes count, by metric.
BEST_CLASSES = {"top1": 1, "top5": 5}


class TableRequest(Strict):
    """Which table to make: the recipe's table and test protocol with the defaults filled in."""

    recipe: Name
    dataset: Name
    datasets: dict[Name, Name] = Field(default={})  # of stages that name their own
    name: Name
    table: TableConfig
    protocol: ProtocolConfig


def build_table(request: TableRequest, runs: Sequence[Run]) -> pd.DataFrame:
    """Return the rows of `request`: its single networks, then its ensembles, members in the order of the first run's.

    Raises InputError where scores are missing, belong to another split or protocol, or do not fit together.
    """
    members = runs[0]
    whole = [reference for reference, member in members.items() if reference == member.network]
    listed = whole if request.table.networks == "all" else list(request.table.networks)
    rows = [_row(request, reference, "network", {reference: 1.0}, None, runs) for reference in listed]
    # One order of members wherever they are listed, whatever that of the recipe's keys.
    place = {reference: index for index, reference in enumerate(members)}
    for name, ensemble in request.table.ensembles.items():
        weights = dict(sorted(ensemble.members.items(), key=lambda item: place.get(item[0], -1)))
        rows.append(_row(request, name, "ensemble", weights, ensemble.fusion, runs))
    return _ordered(pd.DataFrame(rows, dtype=str))


def combine_tables(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all `tables`, in their order, under one header."""
    return _ordered(pd.concat(tables, ignore_index=True).fillna(""))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write `table` as CSV."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_table(path: Path) -> pd.DataFrame:
    """Read what `write_table` wrote; raises InputError where `path` is something else."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a table ({error})", file=path) from error
    if missing := [column for column in COLUMNS if column not in table.columns]:
        raise InputError(f"is no ensemble table: it lacks the column {missing[0]!r}", file=path)
    return table


def row_scores(row: Mapping[str, str], members: Mapping[str, Member]) -> Combined:
    """Return the scores behind a row of a table."""
    chosen = [pick(members, reference) for reference in row["members"].split(JOINT)]
    weights = [float(weight) for weight in row["weights"].split(JOINT)]
    fusion: Fusion = "probabilities" if row["fusion"] == "probabilities" else "logits"
    return combine(chosen, weights, fusion)


def best_row(table: pd.DataFrame, dataset: str | None = None) -> int:
    """Return the position of the row with the highest top-1 (multi-label: mAP), the first of equals.

    Where there are rows about `dataset`, it is one of these.
    """
    metric = table["top1"] if (table["top1"] != "").any() else table[MULTI_LABEL_COLUMN]
    values = pd.to_numeric(metric, errors="coerce").fillna(-1).to_numpy(copy=True)
    values[((table["dataset"] != dataset) & (table["dataset"] == dataset).any()).to_numpy()] = -2
    return int(values.argmax())


def describe_protocol(protocol: ProtocolConfig, crops_px: Sequence[int]) -> str:
    """Return the protocol in words, for example `dense 0 + uniform 1, center 224 px`."""
    side = "/".join(str(side) for side in sorted(set(crops_px))) + " px"
    match protocol.crop:
        case "center":
            crop = f"center {side}"
        case "full":
            crop = "full square"
        case "three":
            crop = "three squares"
        case "scaled":
            crop = f"full square as {side}"
        case "ten":
            crop = f"ten crops of {side}"
    spacing = " to both ends" if protocol.dense_spacing == "ends" else ""
    clips = "all clips" if protocol.clips == "all" else f"dense {protocol.dense}{spacing} + uniform {protocol.uniform}"
    clips += {"start": "", "middle": " at the middles", "ends": " from end to end"}[protocol.phase]
    segments = f" of {protocol.segments} segments" if protocol.segments else ""
    return ", ".join([f"{clips}{segments}", crop, *["static"][: protocol.static], *disturbances(protocol)])


def _row(
    request: TableRequest,
    name: str,
    kind: str,
    weights: Mapping[str, float],
    fusion: Fusion | None,
    runs: Sequence[Run],
) -> dict[str, str]:
    chosen = [pick(runs[0], reference) for reference in weights]
    for member in (pick(run, reference) for run in runs for reference in weights):
        _check_request(request, member)
    combined = combine_runs(runs, list(weights), list(weights.values()), fusion or "logits")
    stage = split_reference(chosen[0].reference)[0]
    return {
        "dataset": request.datasets.get(stage, request.dataset),
        "recipe": request.recipe,
        "name": name,
        "kind": kind,
        "members": JOINT.join(weights),
        "weights": JOINT.join(f"{weight:.12g}" for weight in weights.values()),
        "fusion": fusion or "",
        "protocol": describe_protocol(request.protocol, [member.crop_px for member in chosen]),
        "split": request.table.split,
        "videos": str(len(combined[0].video_ids)),
        "groups": combined[0].group_count,
        "quarantined": str(max(member.quarantined for member in chosen)),
        "seeds": str(len(runs)),
        **_metrics(combined),
        **row_costs(runs, list(weights)),
    }


def _check_request(request: TableRequest, member: Member) -> None:
    if member.split != request.table.split or member.protocol != request.protocol:
        raise InputError(
            f"the scores of {member.reference} are of split {member.split!r} and protocol "
            f"{describe_protocol(member.protocol, [member.crop_px])!r}, but table {request.name!r} is of split "
            f"{request.table.split!r} and protocol {describe_protocol(request.protocol, [member.crop_px])!r}",
            hint="pass score files of the table's split and protocol",
        )


def _metrics(combined: Sequence[Combined]) -> dict[str, str]:
    if combined[0].labels.ndim == 2:
        return metric_values(MULTI_LABEL_COLUMN, combined)
    if divergence(combined):
        return metric_values("top1", combined)
    class_means = [mean_class_accuracy(one.scores, one.labels) for one in combined]
    return {
        **metric_values("top1", combined),
        **metric_values("top5", combined),
        "mean_class_accuracy": percent(sum(class_means) / len(class_means)),
    }


def metric_values(metric: Literal["top1", "top5", "map"], combined: Sequence[Combined]) -> dict[str, str]:
    """Return a metric of several runs in percent: its mean, the deviation of runs and, but for mAP, interval.

    The keys are `metric`, and it with `_std`, `_low` and `_high` behind it. Where a training diverged, the value says
    so and is the only one.
    """
    if told := divergence(combined):
        return {metric: told}
    if metric == MULTI_LABEL_COLUMN:
        return mean_values(metric, [combined])
    result = estimate(hits_of_runs(combined, BEST_CLASSES[metric]), combined[0].groups)
    return {
        metric: percent(result.value),
        f"{metric}_std": percent(result.std),
        f"{metric}_low": percent(result.low),
        f"{metric}_high": percent(result.high),
    }


def mean_values(metric: Literal["top1", "top5", "map"], parts: Sequence[Sequence[Combined]]) -> dict[str, str]:
    """Return the mean of a metric over `parts` (official splits) in percent, and its deviation over the runs.

    The keys are `metric` and it with `_std` behind it: a mean over data sets has no interval. Where a training
    diverged, the value says so and is the only one.
    """
    if told := next(filter(None, map(divergence, parts)), ""):
        return {metric: told}
    by_run = np.mean([_by_run(metric, combined) for combined in parts], axis=0)
    deviation = float(by_run.std(ddof=1)) if len(by_run) > 1 else math.nan
    return {metric: percent(float(by_run.mean())), f"{metric}_std": percent(deviation)}


def _by_run(metric: Literal["top1", "top5", "map"], combined: Sequence[Combined]) -> np.ndarray:
    """Return a metric of each run, (S,)."""
    if metric == MULTI_LABEL_COLUMN:
        return np.array([mean_average_precision(one.scores, one.labels) for one in combined])
    return hits_of_runs(combined, BEST_CLASSES[metric]).mean(axis=1)


def percent(share: float) -> str:
    """Return `share` in percent; nothing where it is not defined (a mean over no classes, a deviation of one run)."""
    return "" if math.isnan(share) else f"{100 * share:.2f}"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign; nothing where it is not known."""
    return "" if math.isnan(share) else f"{100 * share:+.2f}"


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with its columns in the published order; columns that no row fills stay empty."""
    columns = [*COLUMNS, *MULTI_LABEL_COLUMNS] if MULTI_LABEL_COLUMN in table.columns else list(COLUMNS)
    return table.reindex(columns=columns, fill_value="").fillna("")
