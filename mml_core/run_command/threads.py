"""How many cores each job of a run on a processor takes, so that jobs that may run side by side do.

Two trainings of one thread each end sooner than two of two threads one after the other: threads of a small network wait
for each other, and starting, validating and saving of one fall into the computing of another.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from mml_core.plan.stages import Stage
from mml_core.run_command.events import Job

#: Jobs of a rule that run side by side at most where cores are few: each takes memory of its own.
_SIDE_BY_SIDE = 4
#: The rule that trains a stage.
TRAIN = "train_stage"
#: Threads that jobs take by themselves where there are so many cores (rules/); those of all but the first rule do not
#: wait for each other.
THREADS = {TRAIN: 8, "make_rgb_shard": 4, "make_derived_shard": 8, "score_stage": 8}


def threads_by_rule(
    jobs: Sequence[Job], stages: Mapping[str, Stage], seconds: Mapping[str, float], cores: int
) -> dict[str, int]:
    """Return how many of `cores` a job of each rule takes, of those that take fewer than by themselves.

    Args:
        jobs: that the run has.
        stages: by key, at least those that `jobs` train.
        seconds: that training each of these takes, by key.
        cores: >= 1.

    Trainings go on side by side as far as their stages do not wait for each other: so many as all of them take times
    as long as the longest chain of them does.
    """
    waiting = Counter(job.rule for job in jobs)
    width = {rule: float(waiting[rule]) for rule in THREADS if rule != TRAIN and waiting[rule]}
    if trained := {dict(job.wildcards)["stage"] for job in jobs if job.rule == TRAIN}:
        needed = {key: seconds.get(key, 0.0) for key in trained}
        chain = _longest_chain(stages, needed)
        width[TRAIN] = sum(needed.values()) / chain if chain else float(len(trained))
    shared = {rule: math.ceil(cores / min(count, _SIDE_BY_SIDE, cores)) for rule, count in width.items()}
    return {rule: threads for rule, threads in shared.items() if threads < min(cores, THREADS[rule])}


def _longest_chain(stages: Mapping[str, Stage], seconds: Mapping[str, float]) -> float:
    """Return the seconds of the stages that wait for each other longest; what is not in `seconds` is there already."""
    ends: dict[str, float] = {}

    def end(key: str) -> float:
        if key not in ends:
            before = max((end(parent) for parent in stages[key].parents), default=0.0)
            ends[key] = before + seconds.get(key, 0.0)
        return ends[key]

    return max(map(end, seconds))
