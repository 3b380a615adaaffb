"""A step whose losses are still to be looked at, and trainings that came to nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from mml_core.errors import InputError


class Diverged(InputError):
    """A training that cannot go on, since losses or weights are not finite: in `epoch`, counted from 1."""

    def __init__(self, epoch: int, message: str) -> None:
        self.epoch = epoch
        super().__init__(
            message,
            hint="lower optimizer.learning_rate, set optimizer.clip_norm or schedule.warmup_epochs, "
            "or look at these videos",
        )


@dataclass(frozen=True)
class Taken:
    """A step that was launched, and whose losses are looked at once the next one is under way."""

    epoch: int
    step: int
    names: list[str]
    losses: Tensor  # (networks,), means over the clips of all processes
    video_ids: list[str]  # of this process

    def check_finite(self) -> None:
        """Wait for the losses; raises Diverged, naming step and videos, where one is not finite."""
        losses = self.losses.tolist()
        if all(math.isfinite(loss) for loss in losses):
            return
        bad = [f"{name} {loss}" for name, loss in zip(self.names, losses, strict=True) if not math.isfinite(loss)]
        raise Diverged(
            self.epoch + 1,
            f"the loss is not finite at epoch {self.epoch + 1}, step {self.step + 1} ({', '.join(bad)}); "
            f"videos of the batch: {', '.join(self.video_ids)}",
        )


def check_weights(epoch: int, networks: Mapping[str, nn.Module]) -> None:
    """Raise Diverged where a network's parameters or statistics are not finite behind `epoch`, counted from 1."""
    for name, network in networks.items():
        if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
            raise Diverged(epoch, f"the weights of {name} are not finite behind epoch {epoch}")


def check_validation(epoch: int, measured: Mapping[str, Mapping[str, float]]) -> None:
    """Raise Diverged where what was `measured` of a network behind `epoch`, counted from 1, is not finite."""
    for name, values in measured.items():
        if not all(map(math.isfinite, values.values())):
            raise Diverged(epoch, f"the validation loss of {name} is not finite behind epoch {epoch}")
