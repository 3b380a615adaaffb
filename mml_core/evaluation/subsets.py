"""Tables over subsets of modalities: what networks and ensembles are worth when some are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from mml_core.config.base import Strict
from mml_core.config.dataset import Name
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.subsets import SubsetsTable
from mml_core.config.tables import TableName
from mml_core.errors import InputError
from mml_core.evaluation.differences import Difference, difference, map_difference
from mml_core.evaluation.diverged import divergence
from mml_core.evaluation.groups import GroupsByStage
from mml_core.evaluation.markdown import pad_columns, with_interval
from mml_core.evaluation.members import Combined, Member, combine, pick, restricted
from mml_core.evaluation.paper_table import TITLES, Files, heading
from mml_core.evaluation.runs import Run, hits_of_runs, load_runs
from mml_core.evaluation.scores import read_scoring
from mml_core.evaluation.table import JOINT, describe_protocol, metric_values, percent, points
from mml_core.plan.subsets import SubsetRow

#: Runs by what is missing.
RunsByMissing = Mapping[tuple[str, ...], Sequence[Run]]
NOTES = (
    "Percentages; ± standard deviation over the seeds, in brackets the 95 % interval over seeds and videos (over "
    "groups of videos where these share something). Difference: less the line with all modalities, in points, "
    "paired by seed and video. Members of which no modality is there are left out, the others keep their weights; a "
    "network without some of its modalities gets zeros in their place. All lines of a row are about the same videos."
)


class SubsetsRequest(Strict):
    """Which table of subsets to make: the recipe's block, its protocol, what is stored, and its rows."""

    recipe: Name
    dataset: Name
    name: TableName
    table: SubsetsTable
    protocol: ProtocolConfig
    stored: ProtocolConfig
    rows: tuple[SubsetRow, ...]


def build_subsets(request: SubsetsRequest, files: Files, groups: GroupsByStage | None = None) -> pd.DataFrame:
    """Return a row a network or ensemble and subset of the modalities that it reads, as text.

    Columns: recipe, dataset, protocol, split, row, modalities (that are there), members (that take part), seeds,
    videos, groups (empty where videos share nothing); metric (top1, or map where a video may have several labels),
    value, value_std (over seeds), value_low and value_high (95 %, see uncertainty.estimate; not for map), in percent;
    difference (the value less that with all modalities), difference_std, difference_low and difference_high (see
    differences.difference; empty where all are there), in percentage points. All subsets of a row are about the videos
    that have scores in each of them.

    Args:
        request: which table.
        files: (STAGE or STAGE@RUN, score file); of a stage there are those with different modalities missing.
        groups: those of the stages' videos, where these share something.

    Raises InputError where scores are missing or do not fit together.
    """
    runs = _load(request, files, groups)
    sides = sorted({member.crop_px for by_run in runs.values() for run in by_run for member in run.values()})
    head = {
        "recipe": request.recipe,
        "dataset": request.dataset,
        "protocol": describe_protocol(request.protocol, sides),
        "split": request.table.split,
    }
    records = []
    for name in request.table.rows:
        rows = [row for row in request.rows if row.row == name]
        combined = _combined(request, rows, runs)
        records += [head | _values(row, one, combined[0]) for row, one in zip(rows, combined, strict=True)]
    return pd.DataFrame(records, dtype=str)


def subsets_markdown(name: str, title: str, table: pd.DataFrame) -> str:
    """Return a table that `build_subsets` made as a Markdown document for people, under its name and title."""
    rows = [_readable(row) for row in table.to_dict("records")]
    lines = pad_columns([list(rows[0]), *(list(row.values()) for row in rows)])
    return "\n".join([f"# {heading(name, title)}", "", *lines, "", NOTES, ""])


def _load(request: SubsetsRequest, files: Files, groups: GroupsByStage | None) -> RunsByMissing:
    """Return the networks that the rows need, by what is missing of what they read."""
    needed: dict[tuple[str, ...], set[str]] = {}
    for row in request.rows:
        for member, missing in row.missing.items():
            needed.setdefault(missing, set()).add(member)
    scorings = [(key, path, read_scoring(path)) for key, path in files]
    runs = {}
    for missing, members in needed.items():
        stored = request.stored.without(missing)
        own = {key: path for key, path, scoring in scorings if scoring.serves(stored)}
        wanted = request.protocol.without(missing)
        runs[missing] = load_runs(own, groups, references=members, protocol=wanted)
        if not runs[missing]:
            lacking = f" without {', '.join(missing)}" if missing else ""
            raise InputError(f"there are no scores of {', '.join(sorted(members))}{lacking}")
    return runs


def _combined(request: SubsetsRequest, rows: Sequence[SubsetRow], runs: RunsByMissing) -> list[list[Combined]]:
    """Return what a network or ensemble says with each subset of its modalities, in each run, of the same videos."""
    ensemble = request.table.rows[rows[0].row]
    weights = [[ensemble.members[member] for member in row.missing] for row in rows]
    chosen = [_members(row, runs) for row in rows]
    videos = _shared([member for by_run in chosen for members in by_run for member in members])
    return [
        [combine([restricted(one, videos) for one in members], own, ensemble.fusion) for members in by_run]
        for by_run, own in zip(chosen, weights, strict=True)
    ]


def _members(row: SubsetRow, runs: RunsByMissing) -> list[list[Member]]:
    """Return the members that take part in a row, in each run."""
    found = [[pick(run, member) for run in runs[missing]] for member, missing in row.missing.items()]
    return [list(members) for members in zip(*found, strict=True)]


def _shared(members: Sequence[Member]) -> list[str]:
    """Return the videos that all `members` have, in the order of the first one's; raises InputError where none is."""
    shared = set.intersection(*(set(member.video_ids) for member in members))
    if not shared:
        raise InputError("no video has scores of all subsets of modalities", hint="see data_quality.csv")
    return [video for video in members[0].video_ids if video in shared]


def _values(row: SubsetRow, combined: Sequence[Combined], whole: Sequence[Combined]) -> dict[str, str]:
    first = combined[0]
    metric = "map" if first.labels.ndim == 2 else "top1"
    values = metric_values(metric, combined)
    diverged = divergence(combined) or divergence(whole)
    told = [member + (f" without {', '.join(missing)}" if missing else "") for member, missing in row.missing.items()]
    return {
        "row": row.row,
        "modalities": JOINT.join(row.modalities),
        "members": JOINT.join(told),
        "seeds": str(len(combined)),
        "videos": str(len(first.video_ids)),
        "groups": first.group_count,
        "metric": metric,
        "value": values[metric],
        **{f"value_{part}": values.get(f"{metric}_{part}", "") for part in ("std", "low", "high")},
        **_difference(None if combined is whole or diverged else _compared(combined, whole)),
    }


def _compared(combined: Sequence[Combined], whole: Sequence[Combined]) -> Difference:
    labels, groups = whole[0].labels, whole[0].groups
    if labels.ndim == 2:
        return map_difference([one.scores for one in combined], [one.scores for one in whole], labels, groups)
    return difference(hits_of_runs(combined, 1), hits_of_runs(whole, 1), groups)


def _readable(row: Mapping[str, str]) -> dict[str, str]:
    return {
        "Network or ensemble": row["row"],
        "Modalities": row["modalities"],
        "Members": row["members"],
        "Videos": row["videos"],
        TITLES[row["metric"]]: with_interval(row, "value"),
        "Difference": with_interval(row, "difference"),
    }


def _difference(result: Difference | None) -> dict[str, str]:
    """Return a difference as text; nothing of the row that others are compared with."""
    names = ("difference", "difference_std", "difference_low", "difference_high")
    if result is None:
        return dict.fromkeys(names, "")
    value, low, high = (points(share) for share in (result.value, result.low, result.high))
    return dict(zip(names, (value, percent(result.std), low, high), strict=True))
