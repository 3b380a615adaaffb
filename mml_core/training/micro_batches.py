"""Micro-batches: how the clips of a step go through the networks, and which process takes which.

A step's clips are cut into groups of `micro_batch_size`. Batch normalisation is over a group, gradients are summed over
all of them. So the groups, and not the number of processes, decide what a step computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mml_core.clips import Key
from mml_core.config.base import digest
from mml_core.config.stage import StageConfig
from mml_core.errors import InputError


class MicroBatch(NamedTuple):
    """The part of a group that this process takes.

    keys: its clips. number: of the group within the step, from 0. member: of this process among those that share the
    group, from 0. group, step: clips of the whole group, and of the whole step.
    """

    keys: list[Key]
    number: int
    member: int
    group: int
    step: int

    def seed(self, stage: int, position: int) -> int:
        """Return the seed, in 0 ... 2^60 - 1, of what is drawn for its clips (dropout, decisions) at a step of a stage.

        `stage` is the stage's seed, `position` the number of the step. By a digest: torch's generator on a processor
        looks at the lowest 32 bits alone, in which sums of seeds, steps and groups are soon the same.
        """
        return int(digest([stage, position, self.number, self.member], 15), 16)


def cut(keys: Sequence[Key], size: int | None) -> list[list[Key]]:
    """Return the groups of a step: `size` clips each, in order; the last one may have fewer. No size: one group."""
    size = size or max(1, len(keys))
    return [list(keys[first : first + size]) for first in range(0, len(keys), size)]


def processes_per_group(sizes: Sequence[int], processes: int) -> int:
    """Return how many of `processes` share a group: one where there are as many groups, of `sizes`, as processes.

    Raises ValueError where the processes cannot share the groups evenly.
    """
    if processes <= len(sizes):
        return 1
    sharing, left = divmod(processes, len(sizes))
    if left or sharing > min(sizes):
        clips = ", ".join(map(str, sorted(set(sizes))))
        raise ValueError(f"{processes} processes cannot share {len(sizes)} group(s) of {clips} clips")
    return sharing


def processes_sharing(config: StageConfig, clips: int, processes: int) -> int:
    """Return how many `processes` share a group of a stage with so many training `clips`.

    Raises InputError where they cannot evenly.
    """
    step = [(0, index) for index in range(min(config.batch_size, clips))]
    try:
        return processes_per_group([len(group) for group in cut(step, config.micro_batch_size)], processes)
    except ValueError as error:
        raise InputError(
            str(error),
            hint="choose gpus up to the groups of a step (batch_size / micro_batch_size), or a multiple",
        ) from error


def own_part(groups: Sequence[list[Key]], rank: int, processes: int) -> list[MicroBatch]:
    """Return what process `rank` takes of a step's `groups`, at least one; errors as `processes_per_group`."""
    clips = sum(map(len, groups))
    sharing = processes_per_group([len(group) for group in groups], processes)
    if sharing == 1:
        chosen = list(enumerate(groups))[rank::processes]
        return [MicroBatch(group, number, 0, len(group), clips) for number, group in chosen]
    number, member = divmod(rank, sharing)
    return [MicroBatch(groups[number][member::sharing], number, member, len(groups[number]), clips)]
