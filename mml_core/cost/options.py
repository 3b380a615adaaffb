"""What `mml cost` is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.cost.counts import Given

#: Relative to the project's root, which is the working directory, as for all configuration.
RATES = Path("benchmarks/results/training_rates.csv")


@dataclass(frozen=True)
class CostOptions:
    """What is to be priced, and how it is told."""

    dataset: str  # the run's
    recipes: Sequence[str]
    given: Given  # numbers of the run's data set
    counts: Mapping[str, Given]  # those of other data sets by name
    rates: Path
    device: str | None  # a part of its name in the rates; None: that of the first row
    gpus: int
    memory_gb: float | None  # of one GPU; None: as is known of the device
    stages: bool  # a row a stage, too
    csv: Path | None
