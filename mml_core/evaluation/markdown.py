"""The ensemble table for people: fewer columns than the CSV, intervals beside their values, readable as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from mml_core.evaluation.metrics import CONFIDENCE, RESAMPLES
from mml_core.evaluation.table import MULTI_LABEL_COLUMN

NOTES = (
    f"Top-1, top-5, class mean and mAP in percent; in brackets the {CONFIDENCE:.0%} percentile bootstrap interval over "
    f"videos ({RESAMPLES} resamples). GFLOPs are 10⁹ multiply-adds a video, over all views and members."
)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` under headings for people, without the columns that say nothing."""
    rows = [_readable_row(row) for row in table.to_dict("records")]
    shown = pd.DataFrame(rows, dtype=str)
    return shown.loc[:, (shown != "").any()]


def to_markdown(table: pd.DataFrame) -> str:
    """Return `table` as a Markdown document: its readable form, with padded columns, and what the columns mean."""
    shown = readable(table)
    lines = _pad([list(shown.columns), *shown.to_numpy().tolist()])
    return "\n".join([*lines, "", NOTES, ""])


def _readable_row(row: Mapping[str, str]) -> dict[str, str]:
    alone = row["kind"] == "network"
    return {
        "Data set": row["dataset"],
        "Recipe": row["recipe"],
        "Network or ensemble": row["name"],
        "Members": "" if alone else _with_weights(row["members"], row["weights"]),
        "Fusion": row["fusion"],
        "Protocol": row["protocol"],
        "Videos": f"{row['videos']} ({row['split']})",
        "Quarantined": "" if row["quarantined"] == "0" else row["quarantined"],
        "Top-1": _with_interval(row, "top1"),
        "Top-5": _with_interval(row, "top5"),
        "Class mean": row["mean_class_accuracy"],
        "mAP": row.get(MULTI_LABEL_COLUMN, ""),
        "Parameters (M)": row["parameters_millions"],
        "GFLOPs": row["gflops_per_video"],
    }


def _with_weights(members: str, weights: str) -> str:
    """Return the members, each with its weight unless all weights are 1."""
    parts = list(zip(members.split(" + "), weights.split(" + "), strict=True))
    return " + ".join(
        member if set(weights.split(" + ")) == {"1"} else f"{weight} × {member}" for member, weight in parts
    )


def _with_interval(row: Mapping[str, str], name: str) -> str:
    return f"{row[name]} [{row[f'{name}_low']}, {row[f'{name}_high']}]" if row[name] else ""


def _pad(rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[_escape(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _escape(cell: str) -> str:
    """Return `cell` as literal text of a Markdown table."""
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
