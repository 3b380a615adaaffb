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

#: Jobs of a rule that run side by side at most: each takes memory of its own.
_SIDE_BY_SIDE = 4
#: The rule that trains a stage.
TRAIN = "train_stage"
#: Rules whose jobs do not wait for each other, which take several cores by themselves (rules/).
_INDEPENDENT = ("make_rgb_shard", "make_derived_shard", "score_stage")


def threads_by_rule(
    jobs: Sequence[Job], stages: Mapping[str, Stage], seconds: Mapping[str, float], cores: int
) -> dict[str, int]:
    """Return how many of `cores` a job of each rule takes.

    Args:
        jobs: that the run has.
        stages: by key, at least those that `jobs` train.
        seconds: that training each of these takes, by key.
        cores: >= 1.

    Trainings go on side by side as far as their stages do not wait for each other: so many as all of them take times
    as long as the longest chain of them does.
    """
    waiting = Counter(job.rule for job in jobs)
    width = {rule: float(waiting[rule]) for rule in _INDEPENDENT if waiting[rule]}
    if trained := {dict(job.wildcards)["stage"] for job in jobs if job.rule == TRAIN}:
        needed = {key: seconds.get(key, 0.0) for key in trained}
        chain = _longest_chain(stages, needed)
        width[TRAIN] = sum(needed.values()) / chain if chain else float(len(trained))
    return {rule: math.ceil(cores / min(count, _SIDE_BY_SIDE, cores)) for rule, count in width.items()}


def _longest_chain(stages: Mapping[str, Stage], seconds: Mapping[str, float]) -> float:
    """Return the seconds of the stages that wait for each other longest; what is not in `seconds` is there already."""
    ends: dict[str, float] = {}

    def end(key: str) -> float:
        if key not in ends:
            before = max((end(parent) for parent in stages[key].parents), default=0.0)
            ends[key] = before + seconds.get(key, 0.0)
        return ends[key]

    return max(map(end, seconds))
