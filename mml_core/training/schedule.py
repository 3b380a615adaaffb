"""Learning rate over time."""

from __future__ import annotations

import math
from typing import NamedTuple

from mml_core.config.learning import ScheduleConfig


def learning_rate_factor(schedule: ScheduleConfig, epoch: float, epochs: int) -> float:
    """Return the learning rate at `epoch` relative to the configured one, in [0, 1].

    Args:
        schedule: step or cosine, with or without warm-up.
        epoch: epochs done so far; fractional within an epoch, 0 at the first step.
        epochs: length of the stage.

    step: multiplied by `factor` at each milestone reached (epoch >= milestone).
    cosine: half a period from 1 at the start to 0 at the end (Loshchilov and Hutter 2017, without restarts).
    During the first `warmup_epochs` that is multiplied by a line from `warmup_start` to 1.
    """
    return _warmup_factor(schedule, epoch) * _base_factor(schedule, epoch, epochs)


def _base_factor(schedule: ScheduleConfig, epoch: float, epochs: int) -> float:
    match schedule.kind:
        case "step":
            return schedule.factor ** sum(epoch >= milestone for milestone in schedule.milestones)
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * min(epoch / epochs, 1.0)))
        case "plateau":
            return 1.0  # its factor depends on the validation: see `Plateau`


def _warmup_factor(schedule: ScheduleConfig, epoch: float) -> float:
    if epoch >= schedule.warmup_epochs:
        return 1.0
    return schedule.warmup_start + (1.0 - schedule.warmup_start) * epoch / schedule.warmup_epochs


#: Relative change that counts as an improvement, torch's default.
_THRESHOLD = 1e-4


class Plateau(NamedTuple):
    """What a plateau schedule remembers, as JSON values: torch's ReduceLROnPlateau with its defaults.

    Other than there, a rate may fall without end (eps 0). factor: of the learning rate so far. best: of the monitored
    value, None before the first. waited: epochs without an improvement.
    """

    factor: float = 1.0
    best: float | None = None
    waited: int = 0

    def after(self, value: float, schedule: ScheduleConfig) -> Plateau:
        """Return the state after an epoch with the monitored `value`."""
        sign = 1.0 if schedule.monitor == "validation_loss" else -1.0
        best = sign * math.inf if self.best is None else self.best
        if sign * value < sign * best * (1 - sign * _THRESHOLD):
            return Plateau(self.factor, value, 0)
        if self.waited < schedule.patience:
            return Plateau(self.factor, self.best, self.waited + 1)
        return Plateau(self.factor * schedule.factor, self.best, 0)
