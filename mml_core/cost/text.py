"""The cost of tables and stages for people (Markdown, aligned) and for programs (CSV)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields

from mml_core.cost.hours import Row
from mml_core.cost.rates import Estimate, Setting, describe
from mml_core.errors import summarise
from mml_core.evaluation.markdown import pad_columns


def tables_text(rows: Sequence[Row], gpus: int) -> str:
    """Return `rows` of tables as a Markdown table; recipes are named where there are several."""
    several = len({row.recipe for row in rows if row.recipe}) > 1
    heads = ["Table", "Stages", "Networks", "Epochs x clips, M", "Training, h", "Scoring, h"]
    heads += [f"All / {gpus}, h", "Longest chain, h", "Estimated"]
    body = [[_name(row, several), str(row.stages), *_numbers(row), _hours(row.shared_h), *_end(row)] for row in rows]
    return "\n".join(pad_columns([heads, *body]))


def stages_text(rows: Sequence[Row]) -> str:
    """Return `rows` of stages as a Markdown table."""
    several = len({row.recipe for row in rows}) > 1
    heads = ["Stage", "Networks", "Epochs x clips, M", "Training, h", "Scoring, h", "Chain up to it, h", "Estimated"]
    body = [[_name(row, several), *_numbers(row), *_end(row), _gb(row.memory_gb)] for row in rows]
    return "\n".join(pad_columns([[*heads, "Memory, GB"], *body]))


def memory_text(rows: Sequence[Row], parts: Mapping[str, float], limit_gb: float | None) -> str:
    """Return what is to be said of the memory of stages.

    Args:
        rows: of stages.
        parts: what the largest of them takes, by what it is for, in GB.
        limit_gb: memory of the device, or None where that is not known.
    """
    sized = [row for row in rows if not math.isnan(row.memory_gb)]
    if not sized:
        return ""
    largest = max(sized, key=lambda row: row.memory_gb)
    told = ", ".join(f"{name} {_gb(size)}" for name, size in parts.items())
    lines = [
        f"Memory of a GPU, estimated from the bytes that autograd saves (GPU figures: not yet measured): at most "
        f"{_gb(largest.memory_gb)} GB, of stage {_name(largest, with_recipe=True)} ({told})."
    ]
    if limit_gb is None:
        lines.append("How much the device has is not known; --memory GB says so.")
    elif over := [_name(row, with_recipe=True) for row in sized if row.memory_gb > limit_gb]:
        lines.append(f"WARNING: more than the device's {limit_gb:g} GB:\n{summarise(over)}")
        lines.append("  Hint: set micro_batch_size, or a smaller one: so many clips go through at a time")
    return "\n".join(lines)


def rates_text(used: Mapping[Setting, Estimate]) -> str:
    """Return the rates that hours were reckoned with as a Markdown table, estimated ones after measured ones."""
    found = sorted(used.items(), key=lambda item: (not item[1].measured, item[0]))
    rows = [[describe(setting), f"{rate.clips_per_s:.4g}", rate.basis] for setting, rate in found]
    return "\n".join(pad_columns([["Network and pass", "Clips/s", "From"], *rows]))


def as_csv(rows: Iterable[Row], device: str, gpus: int) -> str:
    """Return `rows` as CSV: hours of one device, with the device's name and how many share the hours."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*(field.name for field in fields(Row)), "device", "gpus"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = {key: _field(value) for key, value in asdict(row).items()}
        writer.writerow({**values, "device": device, "gpus": gpus})
    return text.getvalue()


def _field(value: object) -> object:
    match value:
        case float():
            return "" if math.isnan(value) else round(value, 4)
        case tuple():
            return " ".join(value)
        case _:
            return value


def _name(row: Row, with_recipe: bool) -> str:
    return f"{row.recipe}: {row.name}" if with_recipe and row.recipe else row.name


def _numbers(row: Row) -> list[str]:
    training = f"not part of this version: {', '.join(row.absent)}" if row.absent else _hours(row.training_h)
    return [str(row.networks), f"{row.clips / 1e6:,.4g}", training, _hours(row.scoring_h)]


def _end(row: Row) -> list[str]:
    return [_hours(row.chain_h), "–" if math.isnan(row.estimated_share) else f"{row.estimated_share:.0%}"]


def _gb(size: float) -> str:
    return "–" if math.isnan(size) else f"{size:.3g}"


def _hours(hours: float) -> str:
    """Return `hours` to three digits or to the hour, whichever is more."""
    if math.isnan(hours):
        return "–"
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
