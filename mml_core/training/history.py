"""The record of a training: one row an epoch and network, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from mml_core.io.files import write_text
from mml_core.training.columns import columns_of


def epoch_rows(
    epoch: int,
    step: int,
    sums: Mapping[str, Mapping[str, float]],
    rates: Mapping[str, float],
    validation: Mapping[str, Mapping[str, float]],
    seconds: float,
) -> list[dict[str, Any]]:
    """Return the rows of an epoch, one a network that learned: means of `sums` over its clips, and the validation's.

    Args:
        epoch: counted from 1.
        step: steps taken since the beginning.
        sums: network -> quantity -> sum over clips, `clips` their number.
        rates: learning rate of each network.
        validation: network -> quantity, as it is.
        seconds: spent in the epoch.
    """
    return [
        {
            "epoch": epoch,
            "step": step,
            "network": name,
            "learning_rate": rates[name],
            **{key: round(value / own["clips"], 6) for key, value in own.items() if key != "clips"},
            **{key: round(value, 6) for key, value in validation.get(name, {}).items()},
            "seconds": round(seconds, 2),
        }
        for name, own in sums.items()
    ]


def write_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` to the CSV file at `path`; what a row does not have stays empty."""
    write_text(path, _text(rows, _columns(rows)))


def history_digest(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of a history without its seconds, which are never the same twice."""
    kept = [name for name in _columns(rows) if name != "seconds"]
    return hashlib.sha256(_text(rows, kept).encode()).hexdigest()


def _text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_tensorboard(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append `rows` to the TensorBoard log in `folder`, a run per network, against the step."""
    for network in dict.fromkeys(row["network"] for row in rows):
        with SummaryWriter(str(folder / network)) as writer:
            for row in rows:
                if row["network"] != network:
                    continue
                for column in _columns(rows)[3:-1]:
                    if row.get(column) not in (None, ""):
                        writer.add_scalar(column, row[column], row["step"])


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return columns_of(name for row in rows for name in row)
