"""The record of a training: one row an epoch and network, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from mml_core.io.files import write_text

COLUMNS = (
    "epoch",
    "step",
    "network",
    "learning_rate",
    "loss",
    "cross_entropy",
    "divergence",
    "distillation",
    "train_top1",
    "validation_top1",
    "seconds",
)


def write_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` (keys of COLUMNS; missing ones stay empty) to the CSV file at `path`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_tensorboard(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append `rows` to the TensorBoard log in `folder`, a run per network, against the step."""
    for network in dict.fromkeys(row["network"] for row in rows):
        with SummaryWriter(str(folder / network)) as writer:
            for row in rows:
                if row["network"] != network:
                    continue
                for column in COLUMNS[3:-1]:
                    if row.get(column) not in (None, ""):
                        writer.add_scalar(column, row[column], row["step"])
