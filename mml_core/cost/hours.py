"""Hours of jobs at measured rates, and what tables and stages make of them.

Hours that nobody can tell, of networks and objectives that are not part of this version, are not a number (NaN); nor is
what is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mml_core.cost.counts import Counted
from mml_core.cost.memory import Memory, stage_memory
from mml_core.cost.needs import Table
from mml_core.cost.rates import Estimate, Rate, Setting, estimate
from mml_core.cost.work import (
    Gflops,
    Work,
    absent_programs,
    scoring_work,
    stage_sketches,
    trained_clips,
    training_work,
)
from mml_core.plan.products import ScoreFile


class Hours(NamedTuple):
    """Hours of one device, and those of them at rates that were not measured for the very setting."""

    total: float = 0.0
    estimated: float = 0.0


#: Of what is not part of this version.
UNKNOWN = Hours(math.nan, math.nan)


class Prices:
    """What work takes on one device; remembers the rates that it used.

    Args:
        rates: rows of that device.
    """

    def __init__(self, rates: Sequence[Rate]) -> None:
        self.rates = rates
        self.used: dict[Setting, Estimate] = {}

    def of(self, work: Iterable[Work]) -> Hours:
        """Return the hours of `work`."""
        total = estimated = 0.0
        for setting, clips in work:
            if not clips:
                continue
            if setting not in self.used:
                self.used[setting] = estimate(setting, self.rates)
            hours = clips / self.used[setting].clips_per_s / 3600
            total += hours
            estimated += 0.0 if self.used[setting].measured else hours
        return Hours(total, estimated)


@dataclass(frozen=True)
class Jobs:
    """Hours of every job, and what stages are made of."""

    stages: Mapping[str, Hours]  # by key
    scores: Mapping[ScoreFile, Hours]
    clips: Mapping[str, int]  # by key of a stage: seen in training, summed over its networks
    memory: Mapping[str, Memory]  # by key of a stage, of those that are part of this version


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
    memory_gb: float  # of one GPU, by the stage that takes the most
    absent: tuple[str, ...]  # architectures and objectives that are not part of this version: hours are not known


def price_jobs(everything: Table, all_data: Mapping[str, Counted], prices: Prices, gflops: Gflops) -> Jobs:
    """Return the hours of all stages and score files of `everything`; `all_data` are the data sets by name."""
    stages, clips, memory = {}, {}, {}
    for key, stage in everything.stages.items():
        config, data = stage.document.config, all_data[stage.document.dataset]
        clips[key] = trained_clips(config, data)
        if absent_programs(config):
            stages[key] = UNKNOWN
            continue
        stages[key] = prices.of(training_work(config, data, gflops))
        memory[key] = stage_memory(stage.name, config, stage_sketches(config, data))
    scores = {}
    for file, protocol in everything.scores.items():
        config, data = everything.stages[file.stage].document.config, all_data[file.dataset]
        known = not absent_programs(config)
        scores[file] = prices.of(scoring_work(config, data, file.split, protocol, gflops)) if known else UNKNOWN
    return Jobs(stages, scores, clips, memory)


def table_row(kind: str, table: Table, jobs: Jobs, gpus: int) -> Row:
    """Return what `table` costs on a number of devices."""
    ends = _ends(table, jobs)
    scored = [ends[file.stage] + jobs.scores[file].total for file in table.scores]
    training = [jobs.stages[key] for key in table.stages]
    scoring = [jobs.scores[file] for file in table.scores]
    shared_h = sum(hours.total for hours in training + scoring) / gpus
    return _row(kind, table, jobs, training, scoring, shared_h, _longest(scored))


def stage_rows(everything: Table, names: Mapping[str, tuple[str, str]], jobs: Jobs) -> list[Row]:
    """Return what each stage costs with its score files, its chain being that up to the last of them.

    names: the recipe and the name of each stage, by its key.
    """
    ends = _ends(everything, jobs)
    rows = []
    for key, stage in everything.stages.items():
        scores = {file: protocol for file, protocol in everything.scores.items() if file.stage == key}
        scoring = [jobs.scores[file] for file in scores]
        chain_h = ends[key] + _longest(hours.total for hours in scoring)
        alone = Table(*names[key], {key: stage}, scores)
        rows.append(_row("stage", alone, jobs, [jobs.stages[key]], scoring, None, chain_h))
    return rows


def _row(
    kind: str,
    table: Table,
    jobs: Jobs,
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
        sum(jobs.clips[key] for key in table.stages),
        training_h,
        scoring_h,
        shared_h,
        chain_h,
        estimated_h / (training_h + scoring_h) if training_h + scoring_h else 0.0,
        max((jobs.memory[key].gb for key in table.stages if key in jobs.memory), default=math.nan),
        tuple(sorted({name for config in configs for name in absent_programs(config)})),
    )


def _ends(table: Table, jobs: Jobs) -> dict[str, float]:
    """Return after how many hours each stage of `table` is trained where none waits for a device."""
    ends: dict[str, float] = {}
    for key, stage in table.stages.items():
        ends[key] = jobs.stages[key].total + _longest(ends[parent] for parent in stage.parents)
    return ends


def _longest(hours: Iterable[float]) -> float:
    """Return the largest of `hours`, 0 where there are none, and NaN where one is."""
    found = list(hours)
    return math.nan if any(map(math.isnan, found)) else max(found, default=0.0)
