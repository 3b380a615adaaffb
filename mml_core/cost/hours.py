"""Hours of jobs at measured rates, and what tables and stages make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mml_core.config.dataset import DatasetConfig
from mml_core.cost.counts import Counts
from mml_core.cost.needs import Table
from mml_core.cost.rates import Estimate, Rate, Setting, estimate
from mml_core.cost.work import Work, scoring_work, trained_clips, training_work
from mml_core.plan.products import ScoreFile


class Hours(NamedTuple):
    """Hours of one device, and those of them at rates that were not measured for the very setting."""

    total: float = 0.0
    estimated: float = 0.0


class Prices:
    """What work takes on one device; remembers the rates that it used.

    Args:
        rates: rows of that device.
        gflops: returns those of one forward pass over a clip of a setting.
    """

    def __init__(self, rates: Sequence[Rate], gflops: Callable[[Setting], float]) -> None:
        self.rates, self.gflops = rates, gflops
        self.used: dict[Setting, Estimate] = {}

    def of(self, work: Iterable[Work]) -> Hours:
        """Return the hours of `work`."""
        total = estimated = 0.0
        for setting, clips in work:
            if not clips:
                continue
            if setting not in self.used:
                self.used[setting] = estimate(setting, self.rates, self.gflops)
            hours = clips / self.used[setting].clips_per_s / 3600
            total += hours
            estimated += 0.0 if self.used[setting].measured else hours
        return Hours(total, estimated)


@dataclass(frozen=True)
class Jobs:
    """Hours of every job."""

    stages: Mapping[str, Hours]  # by key
    scores: Mapping[ScoreFile, Hours]


@dataclass(frozen=True)
class Row:
    """What a table costs with all stages behind it, or a stage by itself."""

    kind: str  # table, total (of all tables), or stage
    recipe: str
    name: str
    stages: int
    networks: int  # that are trained
    clips: int  # that they see in training: epochs x clips, summed over the networks
    training_h: float  # hours of one device
    scoring_h: float
    shared_h: float | None  # the sum divided by the number of devices; None for a stage, which takes one
    chain_h: float  # the longest chain of jobs that wait for each other, each on one device
    estimated_share: float  # of the hours, 0 to 1, at rates that were not measured for the very setting


def price_jobs(everything: Table, dataset: DatasetConfig, counts: Counts, prices: Prices) -> Jobs:
    """Return the hours of all stages and score files of `everything`."""
    stages = {
        key: prices.of(training_work(stage.document.config, dataset, counts))
        for key, stage in everything.stages.items()
    }
    scores = {}
    for file, protocol in everything.scores.items():
        config = everything.stages[file.stage].document.config
        scores[file] = prices.of(scoring_work(config, dataset, counts, file.split, protocol))
    return Jobs(stages, scores)


def table_row(kind: str, table: Table, jobs: Jobs, counts: Counts, gpus: int) -> Row:
    """Return what `table` costs on a number of devices."""
    ends = _ends(table, jobs)
    scored = [ends[file.stage] + jobs.scores[file].total for file in table.scores]
    training = [jobs.stages[key] for key in table.stages]
    scoring = [jobs.scores[file] for file in table.scores]
    shared_h = sum(hours.total for hours in training + scoring) / gpus
    return _row(kind, table, counts, training, scoring, shared_h, max(scored, default=0.0))


def stage_rows(everything: Table, names: Mapping[str, tuple[str, str]], jobs: Jobs, counts: Counts) -> list[Row]:
    """Return what each stage costs with its score files, its chain being that up to the last of them.

    names: the recipe and the name of each stage, by its key.
    """
    ends = _ends(everything, jobs)
    rows = []
    for key, stage in everything.stages.items():
        scores = {file: protocol for file, protocol in everything.scores.items() if file.stage == key}
        scoring = [jobs.scores[file] for file in scores]
        chain_h = ends[key] + max((hours.total for hours in scoring), default=0.0)
        alone = Table(*names[key], {key: stage}, scores)
        rows.append(_row("stage", alone, counts, [jobs.stages[key]], scoring, None, chain_h))
    return rows


def _row(
    kind: str,
    table: Table,
    counts: Counts,
    training: Sequence[Hours],
    scoring: Sequence[Hours],
    shared_h: float | None,
    chain_h: float,
) -> Row:
    configs = [stage.document.config for stage in table.stages.values()]
    training_h, scoring_h = (sum(hours.total for hours in part) for part in (training, scoring))
    estimated_h = sum(hours.estimated for hours in (*training, *scoring))
    return Row(
        kind,
        table.recipe,
        table.name,
        len(table.stages),
        sum(len(config.trained) for config in configs),
        sum(trained_clips(config, counts) for config in configs),
        training_h,
        scoring_h,
        shared_h,
        chain_h,
        estimated_h / (training_h + scoring_h) if training_h + scoring_h else 0.0,
    )


def _ends(table: Table, jobs: Jobs) -> dict[str, float]:
    """Return after how many hours each stage of `table` is trained where none waits for a device."""
    ends: dict[str, float] = {}
    for key, stage in table.stages.items():
        ends[key] = jobs.stages[key].total + max((ends[parent] for parent in stage.parents), default=0.0)
    return ends
