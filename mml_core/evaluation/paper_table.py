"""A table of a paper with our values: each printed one, ours, and the difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mml_core.config.base import Strict
from mml_core.config.dataset import Name
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.references import whole_network
from mml_core.config.tables import (
    PublishedConfig,
    PublishedPositions,
    TableName,
)
from mml_core.errors import InputError
from mml_core.evaluation.combinations import count_correct, sum_of_positions
from mml_core.evaluation.diverged import DIVERGED
from mml_core.evaluation.groups import GroupsByStage
from mml_core.evaluation.markdown import pad_columns, with_interval
from mml_core.evaluation.members import Combined, Member, cost_bearers, pick
from mml_core.evaluation.runs import aligned_logits, combine_runs, load_runs
from mml_core.evaluation.scores import read_scoring
from mml_core.evaluation.table import JOINT, mean_values, metric_values
from mml_core.plan.published import METRICS, POSITIONS, PublishedRow, join_models

#: (STAGE or STAGE@RUN, score file): a stage may be scored under several protocols.
Files = Sequence[tuple[str, Path]]
#: Runs by the name of the stored protocol and by the protocol whose views are used.
RunsByViews = Mapping[tuple[str, ProtocolConfig], Sequence[Mapping[str, Member]]]
TITLES = {"top1": "Top-1", "top5": "Top-5", "map": "mAP", POSITIONS: "Sum of positions"}
#: Columns that follow a row's description and its metrics.
CLOSING = ("parameters_millions", "seeds", "videos", "groups")
NOTES = (
    "Percentages but for sums of positions (smaller is better). Published values are of the paper's own data set, ours "
    "of the one that was chosen, or that the recipe names. Difference: ours minus published. Ours: the mean over the "
    "seeds, ± their standard deviation, in brackets the 95 % bootstrap interval over seeds and videos (over groups of "
    "videos where these share something; none where all are of one group, nor for means over official splits)."
)
#: What stands behind a metric's name in the names of its columns.
PARTS = ("", "_difference", "_std", "_low", "_high")
#: What stands between them in those with the middles in the one uniform clip.
MIDDLE = "_middle"
MIDDLE_NOTE = (
    "Middle: the one uniform clip shows the middle of each part of the video, as the programs of TSM and MML take it, "
    "and not its start, as the paper's formula has it."
)


class PublishedRequest(Strict):
    """Which published table to make: the recipe's block and its protocols, with the defaults filled in."""

    recipe: Name
    dataset: Name
    name: TableName
    table: PublishedConfig
    protocols: dict[Name, ProtocolConfig]


def build_paper_table(
    request: PublishedRequest,
    published: Sequence[Mapping[str, str]],
    files: Files,
    groups: GroupsByStage | None = None,
) -> pd.DataFrame:
    """Return the rows `published` with our values, as text.

    Columns: recipe, dataset, what the row is about, members, and for each metric of the paper `published_M`, `M` (ours,
    the mean over the seeds), `M_difference` (ours minus published), `M_std`, `M_low` and `M_high` (see
    uncertainty.estimate; no interval for mAP); where the table asks for them the same of the middles in the one uniform
    clip, `M_middle`, `M_middle_difference` and so on, empty for rows without such a clip; then parameters_millions (of
    what the row's scores take), seeds, videos, and where these share something their groups. Percentages have two
    decimals. `files` are (STAGE or STAGE@RUN, score file), `groups` those of videos. Raises InputError where scores are
    missing or do not fit together.
    """
    rows = join_models(request.table, request.protocols, published)
    parts = {"": rows}
    if request.table.middle:
        parts[MIDDLE] = [row.middle or replace(row, members=(), others=()) for row in rows]
    ours = {suffix: _ours(request, part, files, groups) for suffix, part in parts.items()}
    records = []
    for number, row in enumerate(rows):
        values = {suffix: part[number] for suffix, part in ours.items()}
        head = {"recipe": request.recipe, "dataset": request.dataset, **row.about, "members": _members(row)}
        closing = {name: values[""].get(name, "") for name in CLOSING}
        records.append({**head, **_beside(row, values), **closing})
    return pd.DataFrame(records, dtype=str).fillna("")


def paper_markdown(name: str, title: str, table: pd.DataFrame) -> str:
    """Return a table that `build_paper_table` made as a Markdown document for people, under its name and title."""
    shown = readable_paper_table(table)
    lines = pad_columns([list(shown.columns), *shown.to_numpy().tolist()])
    notes = f"{NOTES} {MIDDLE_NOTE}" if any(MIDDLE in column for column in table.columns) else NOTES
    return "\n".join([f"# {heading(name, title)}", "", *lines, "", notes, ""])


def heading(name: str, title: str) -> str:
    """Return what people call a table: `table_VII` and its title -> `Table VII: its title`."""
    words = name.replace("_", " ")
    return f"{words[0].upper()}{words[1:]}: {title}"


def readable_paper_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with headings for people and each value with its interval."""
    metrics = [name for name in (*METRICS, POSITIONS) if f"published_{name}" in table]
    suffixes = [suffix for suffix in ("", MIDDLE) if f"{metrics[0]}{suffix}" in table]
    numbers = {f"{name}{suffix}{part}" for name in metrics for suffix in suffixes for part in PARTS}
    numbers |= {f"published_{name}" for name in metrics}
    described = [name for name in table if name not in {*numbers, *CLOSING, "recipe", "members"}]
    described = [name for name in described if name != "dataset" or table[name].nunique() > 1]
    shown = pd.DataFrame({_column_heading(name): table[name] for name in described})
    records = table.to_dict("records")
    for name in metrics:
        shown[f"{TITLES[name]}, published"] = table[f"published_{name}"]
        for suffix in suffixes:
            words = f", {suffix[1:]}" if suffix else ""
            shown[f"{TITLES[name]}, ours{words}"] = [with_interval(row, f"{name}{suffix}") for row in records]
            if name != POSITIONS:  # theirs are of as many ensembles only where all models are there
                shown[f"{TITLES[name]}, difference{words}"] = table[f"{name}{suffix}_difference"]
    return shown


def _column_heading(name: str) -> str:
    """Return what people read above a column: `rgb_model` -> `RGB model`."""
    words = {"dataset": "data set"}.get(name, name.replace("_", " "))
    return f"RGB{words[3:]}" if words.startswith("rgb ") else f"{words[0].upper()}{words[1:]}"


def load_rows(
    rows: Iterable[PublishedRow],
    protocols: Mapping[str, ProtocolConfig],
    files: Files,
    groups: GroupsByStage | None = None,
) -> RunsByViews:
    """Return the networks that `rows` need, in each run, by the protocol that is stored and the one that is wanted.

    Raises InputError where there are no scores of one, or they lack views of a protocol.
    """
    scorings = [(key, path, read_scoring(path)) for key, path in files]
    needed: dict[tuple[str, ProtocolConfig], set[str]] = {}
    for row in rows:
        members = [name for ensemble in (row.members, *row.others) for name in ensemble]
        # whole networks too: what several parts of one cost together
        needed.setdefault((row.stored, row.protocol), set()).update(members, map(whole_network, members))
    return {
        (name, protocol): load_runs(
            {key: path for key, path, scoring in scorings if scoring.serves(protocols[name])},
            groups,
            references=references,
            protocol=protocol,
        )
        for (name, protocol), references in needed.items()
        if references
    }


def row_scores(row: PublishedRow, runs: RunsByViews) -> list[Combined]:
    """Return what the networks of a row say together, in each run; `runs` from `load_rows`."""
    return combine_runs(runs[row.stored, row.protocol], row.members)


def _ours(
    request: PublishedRequest, rows: Sequence[PublishedRow], files: Files, groups: GroupsByStage | None
) -> list[dict[str, str]]:
    """Return our values of each row as text, by metric, part of a metric, and closing column."""
    if isinstance(request.table, PublishedPositions):
        return _positions(request, rows, files)
    runs = load_rows(rows, request.protocols, files, groups)
    return [_row_values(row, runs) for row in rows]


def _members(row: PublishedRow) -> str:
    """Return the networks of a row as text; of a mean, those of what it is over, one after the other."""
    return "; ".join(JOINT.join(members) for members in (row.members, *row.others))


def _row_values(row: PublishedRow, runs: RunsByViews) -> dict[str, str]:
    """Return our values of a row as text: each metric that the paper prints, with its uncertainty."""
    if not row.members:
        return {}
    parts = [combine_runs(runs[row.stored, row.protocol], members) for members in (row.members, *row.others)]
    combined = parts[0]
    values = {"seeds": str(len(combined)), "videos": str(sum(len(part[0].video_ids) for part in parts))}
    values["groups"] = combined[0].group_count if len(parts) == 1 else ""
    first = runs[row.stored, row.protocol][0]
    bearers = cost_bearers([pick(first, name) for name in row.members], first)
    values["parameters_millions"] = f"{sum(one.parameters for one in bearers) / 1e6:.3f}"
    multi_label = combined[0].labels.ndim == 2
    for metric in row.values:
        if multi_label != (metric == "map"):
            raise InputError(
                f"the published {TITLES[metric]} is not what this data set, with "
                f"{'several labels' if multi_label else 'one label'} a video, is measured by",
                hint="choose the data set that the table is about",
            )
        values |= metric_values(metric, combined) if len(parts) == 1 else mean_values(metric, parts)
    return values


def _positions(request: PublishedRequest, rows: Sequence[PublishedRow], files: Files) -> list[dict[str, str]]:
    """Return each row's sum of positions among all ensembles of one network a group, the mean over the runs."""
    runs = next(iter(load_rows(rows, request.protocols, files).values()))
    groups = [list(models.values()) for models in request.table.models.values()]
    sums: dict[str, list[float]] = {}
    for run in runs:
        logits, labels = aligned_logits(run, [reference for group in groups for reference in group])
        starts = np.cumsum([len(group) for group in groups])[:-1]
        correct = count_correct(np.split(logits, starts), labels)
        for group, totals in zip(groups, sum_of_positions(correct), strict=True):
            for reference, total in zip(group, totals.tolist(), strict=True):
                sums.setdefault(reference, []).append(total)
    return [
        {
            POSITIONS: f"{np.mean(sums[row.members[0]]):.0f}",
            f"{POSITIONS}_std": _deviation(np.array(sums[row.members[0]])),
            "seeds": str(len(runs)),
            "videos": str(len(next(iter(runs[0].values())).video_ids)),
        }
        if row.members
        else {}
        for row in rows
    ]


def _deviation(values: np.ndarray) -> str:
    return f"{values.std(ddof=1):.2f}" if len(values) > 1 else ""


def _beside(row: PublishedRow, ours: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return published values, ours by suffix, and their differences, in the order of the columns."""
    cells: dict[str, str] = {}
    for metric, value in row.values.items():
        cells[f"published_{metric}"] = (
            "" if value is None else f"{value:.0f}" if metric == POSITIONS else f"{value:.2f}"
        )
        for suffix, values in ours.items():
            own = values.get(metric, "")
            comparable = own and value is not None and metric != POSITIONS and not own.startswith(DIVERGED)
            difference = f"{float(own) - value:+.2f}" if comparable else ""
            others = [values.get(f"{metric}{part}", "") for part in PARTS[2:]]
            cells |= dict(zip((f"{metric}{suffix}{part}" for part in PARTS), (own, difference, *others), strict=True))
    return cells
