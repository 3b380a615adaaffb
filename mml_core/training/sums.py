"""Sums over the clips of an epoch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mml_core.networks import Prediction
from mml_core.objectives import Losses
from mml_core.training.processes import Processes


class Sums:
    """Sums by network and quantity, kept on the device so that adding to them waits for nothing.

    Quantities are `clips`, `loss`, each term of the objective, and with one label a video `train_top1`.
    """

    def __init__(self, saved: Mapping[str, Mapping[str, float]], device: torch.device, *, leads: bool = True) -> None:
        """Go on from the sums of the unfinished epoch, over all processes: the one that leads has them from now on.

        The others begin at zero, with the same names: an epoch may have been interrupted behind its last step.
        """
        if not leads:
            saved = {name: dict.fromkeys(values, 0.0) for name, values in saved.items()}
        self.keys = {name: list(values) for name, values in saved.items()}
        self.values = {
            name: torch.tensor(list(values.values()), dtype=torch.float64, device=device)
            for name, values in saved.items()
        }

    def add(self, losses: Losses, predictions: Mapping[str, Prediction], targets: Tensor) -> None:
        """Add a batch: losses are means over its clips, `targets` class indices (B,) or several labels (B, N)."""
        for name, terms in losses.items():
            row = {"loss": total(terms), **terms}
            if targets.ndim == 1:
                row["train_top1"] = (predictions[name].logits.argmax(1) == targets).double().mean() * 100
            means = torch.stack([value.detach().double() for value in row.values()])
            added = torch.cat([means.new_ones(1), means]) * len(targets)
            self.values[name] = self.values[name] + added if name in self.values else added
            self.keys[name] = ["clips", *row]

    def as_dict(self, processes: Processes) -> dict[str, dict[str, float]]:
        """Return the sums over all processes by network and quantity."""
        return {
            name: dict(zip(self.keys[name], processes.sum(values.clone()).tolist(), strict=True))
            for name, values in self.values.items()
        }


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """Return the loss of a network: the sum of its terms."""
    first, *rest = terms.values()
    return sum(rest, first)
