"""A step whose losses are still to be looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from mml_core.errors import InputError


@dataclass(frozen=True)
class Taken:
    """A step that was launched, and whose losses are looked at once the next one is under way."""

    epoch: int
    step: int
    names: list[str]
    losses: Tensor  # (networks,), means over the clips of all processes
    video_ids: list[str]  # of this process

    def check_finite(self) -> None:
        """Wait for the losses; raises InputError, naming step and videos, where one is not finite."""
        losses = self.losses.tolist()
        if all(math.isfinite(loss) for loss in losses):
            return
        bad = [f"{name} {loss}" for name, loss in zip(self.names, losses, strict=True) if not math.isfinite(loss)]
        raise InputError(
            f"the loss is not finite at epoch {self.epoch + 1}, step {self.step + 1} ({', '.join(bad)}); "
            f"videos of the batch: {', '.join(self.video_ids)}",
            hint="lower optimizer.learning_rate, set optimizer.clip_norm or schedule.warmup_epochs, "
            "or look at these videos",
        )
