"""The ensemble table for people: fewer columns than the CSV, intervals beside their values, readable as plain text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from mml_core.config.references import split_reference
from mml_core.config.tables import LEAST_FOR_TOP5
from mml_core.evaluation.costs import NO_FLOW
from mml_core.evaluation.runs import Run
from mml_core.evaluation.table import MULTI_LABEL_COLUMN, TableRequest
from mml_core.evaluation.uncertainty import CONFIDENCE, RESAMPLES

COST_NOTES = (
    "GFLOPs are 10⁹ multiply-adds a video, over all views and members: those of the networks, in rows with flow "
    "without those of the flow itself, which is computed from the frames beforehand. Used: the share of a video's "
    "segments in which a network that chooses ran on each modality, in percent. GFLOPs of flow, at most: those of "
    "TV-L1 for the fields that are read, if none of its warps ended early, as most do."
)
NOTES = (
    "Top-1, top-5, class mean and mAP in percent: means over the seeds, with their standard deviation (±) where there "
    f"are several; in brackets the {CONFIDENCE:.0%} percentile bootstrap interval over seeds and videos ({RESAMPLES} "
    "resamples; over groups of videos where these share something, as a session; none where all are of one group; from "
    f"few seeds or groups it is too narrow). {COST_NOTES}"
)


def readable(table: pd.DataFrame, few_classes: Collection[str] = ()) -> pd.DataFrame:
    """Return `table` under headings for people, without the columns that say nothing.

    `few_classes` are the data sets with too few classes for a top-5 (`config.tables.LEAST_FOR_TOP5`): it is left out.
    """
    rows = [_readable_row(row, row["dataset"] not in few_classes) for row in table.to_dict("records")]
    shown = pd.DataFrame(rows, dtype=str)
    return shown.loc[:, (shown != "").any()]


def few_classes(request: TableRequest, run: Run) -> set[str]:
    """Return the data sets of a table's rows that have too few classes for a top-5 to say something."""
    few = {split_reference(name)[0] for name, member in run.items() if len(member.classes) < LEAST_FOR_TOP5}
    return {request.datasets.get(stage, request.dataset) for stage in few}


def to_markdown(table: pd.DataFrame, few_classes: Collection[str] = ()) -> str:
    """Return `table` as a Markdown document: its readable form, with padded columns, and what the columns mean."""
    shown = readable(table, few_classes)
    lines = pad_columns([list(shown.columns), *shown.to_numpy().tolist()])
    return "\n".join([*lines, "", NOTES, ""])


def _readable_row(row: Mapping[str, str], many_classes: bool) -> dict[str, str]:
    alone = row["kind"] == "network"
    return {
        "Data set": row["dataset"],
        "Recipe": row["recipe"],
        "Network or ensemble": row["name"],
        "Members": "" if alone else _with_weights(row["members"], row["weights"]),
        "Fusion": row["fusion"],
        "Protocol": row["protocol"],
        "Videos": f"{row['videos']}{_in_groups(row['groups'])} ({row['split']})",
        "Quarantined": "" if row["quarantined"] == "0" else row["quarantined"],
        "Seeds": "" if row["seeds"] == "1" else row["seeds"],
        "Top-1": with_interval(row, "top1"),
        "Top-5": with_interval(row, "top5") if many_classes else "",
        "Class mean": row["mean_class_accuracy"],
        "mAP": with_deviation(row, MULTI_LABEL_COLUMN),
        "Parameters (M)": row["parameters_millions"],
        **_readable_cost(row),
    }


def readable_costs(rows: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return what rows take by their `costs.COST_COLUMNS`, by heading, without parameters and what says nothing."""
    cells = [_readable_cost(row) for row in rows]
    columns = {heading: [one[heading] for one in cells] for heading in cells[0]} if cells else {}
    return {heading: column for heading, column in columns.items() if any(column)}


def _readable_cost(row: Mapping[str, str]) -> dict[str, str]:
    flow = row.get("flow_gflops_at_most", "")
    return {
        "GFLOPs": row.get("gflops_per_video", ""),
        "Used, %": row.get("used", ""),
        "GFLOPs of flow, at most": "" if flow == NO_FLOW else flow,
    }


def _in_groups(count: str) -> str:
    """Return ` in 6 groups`; nothing where videos share nothing."""
    return f" in {count} group{'s'[: count != '1']}" if count else ""


def _with_weights(members: str, weights: str) -> str:
    """Return the members, each with its weight unless all weights are 1."""
    parts = list(zip(members.split(" + "), weights.split(" + "), strict=True))
    return " + ".join(
        member if set(weights.split(" + ")) == {"1"} else f"{weight} × {member}" for member, weight in parts
    )


def with_interval(row: Mapping[str, str], name: str) -> str:
    """Return `12.34 ± 0.56 [11.00, 13.00]`, the parts that the row has."""
    interval = f" [{row[f'{name}_low']}, {row[f'{name}_high']}]" if row.get(f"{name}_low") else ""
    return with_deviation(row, name) + interval


def with_deviation(row: Mapping[str, str], name: str) -> str:
    """Return `12.34 ± 0.56`, or the value alone where there is no deviation."""
    return row.get(name, "") + (f" ± {row[f'{name}_std']}" if row.get(f"{name}_std") else "")


def pad_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table with the headings `rows[0]`, its columns padded to equal width."""
    cells = [[_escape(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _escape(cell: str) -> str:
    """Return `cell` as literal text of a Markdown table."""
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
