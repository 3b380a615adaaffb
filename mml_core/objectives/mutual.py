"""Mutual learning: networks learn from each other's predictions (MML, equations 1 to 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from mml_core.config.objectives import MutualConfig
from mml_core.networks import Prediction
from mml_core.objectives.base import Losses, Objective
from mml_core.objectives.losses import classification_loss, kl_divergence, log_probabilities, precise


class Mutual(Objective):
    """L_i = L_CE(p_i, y) + L_KL(target_i || p_i), target_i the mean prediction of the other networks, detached.

    MML, equations 1 to 4. `target` says what is averaged over the others: their probabilities (the paper's
    equation 4) or their logits (the authors' code); with two networks that is the same.
    """

    def __init__(self, *, target: Literal["probabilities", "logits"], multi_label: bool) -> None:
        super().__init__()
        self.target, self.multi_label = target, multi_label

    def forward(
        self, predictions: Mapping[str, Prediction], targets: Tensor, teachers: Mapping[str, Prediction]
    ) -> Losses:
        """Return the losses; see `Objective`. Raises ValueError for fewer than two predictions."""
        if len(predictions) < 2:
            raise ValueError(f"expected the predictions of at least two networks, got {len(predictions)}")
        losses = {}
        for name, prediction in predictions.items():
            others = [other.logits.detach() for key, other in predictions.items() if key != name]
            losses[name] = {
                "cross_entropy": classification_loss(prediction.logits, targets, multi_label=self.multi_label),
                "divergence": kl_divergence(
                    self._log_target(others), log_probabilities(prediction.logits, multi_label=self.multi_label)
                ),
            }
        return losses

    def _log_target(self, others: Sequence[Tensor]) -> Tensor:
        """Return the logarithm of the mean prediction of the networks with logits `others` (M - 1 times (B, N))."""
        match self.target:
            case "logits":
                mean = torch.stack([precise(logits) for logits in others]).mean(dim=0)
                return log_probabilities(mean, multi_label=self.multi_label)
            case "probabilities":
                logs = torch.stack([log_probabilities(logits, multi_label=self.multi_label) for logits in others])
                return logs.logsumexp(dim=0) - math.log(len(others))


def build(config: MutualConfig, *, multi_label: bool) -> Mutual:
    """Return the objective that `config` describes."""
    return Mutual(target=config.target, multi_label=multi_label)
