"""Cross-entropy plus the price of the modalities that a policy chose (Panda et al. 2021; the authors' program)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mml_core.config.objectives.frugal import FrugalConfig
from mml_core.networks import Prediction
from mml_core.objectives.base import Losses, Objective
from mml_core.objectives.losses import classification_loss, precise


def is_right(logits: Tensor, targets: Tensor) -> Tensor:
    """Return 1 for each clip whose best class, of `logits` (B, N), is its class or one of its classes, else 0: (B,).

    `targets` are class indices (B,), or (B, N) zeros and ones. It is a step function of the logits: no gradient.
    """
    best = logits.detach().argmax(dim=1)
    right = best == targets if targets.ndim == 1 else targets.gather(1, best[:, None])[:, 0] > 0
    return right.to(precise(logits).dtype)


def price_of_use(choices: Tensor, right: Tensor) -> Tensor:
    """Return mean_b(right_b * u_b^2), u_b being the share of segments that a modality was used in.

    `choices` (B, S) in 0 ... 1, `right` (B,) 0 or 1.
    """
    return (right * choices.mean(dim=1).square()).mean()


class Frugal(Objective):
    """L = cross-entropy + sum_k lambda_k mean(right * u_k^2) + gamma mean(1 - right).

    The last term is constant wherever it has a derivative: it shifts the loss that is told, and no weight. A policy
    pays for what it uses where the answer is right, and is not made to use more by the penalty where it is wrong:
    cross-entropy alone does that.
    """

    def __init__(self, config: FrugalConfig, *, multi_label: bool) -> None:
        super().__init__()
        self.config, self.multi_label = config, multi_label

    def forward(
        self, predictions: Mapping[str, Prediction], targets: Tensor, teachers: Mapping[str, Prediction]
    ) -> Losses:
        """Return the losses; see `Objective`."""
        return {name: self._terms(one, targets) for name, one in predictions.items()}

    def _terms(self, prediction: Prediction, targets: Tensor) -> dict[str, Tensor]:
        right = is_right(prediction.logits, targets)
        used = dict(zip(prediction.options, prediction.choices.unbind(dim=2), strict=True))
        return {
            "cross_entropy": classification_loss(prediction.logits, targets, multi_label=self.multi_label),
            **{f"price_{name}": price * price_of_use(used[name], right) for name, price in self.config.prices.items()},
            "wrong": self.config.wrong * torch.mean(1 - right),
        }


def build(config: FrugalConfig, *, multi_label: bool) -> Frugal:
    """Return the objective that `config` describes."""
    return Frugal(config, multi_label=multi_label)
