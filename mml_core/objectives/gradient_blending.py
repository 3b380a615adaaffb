"""A loss for each head, weighted by how it overfits and generalises (Wang, Tran, Feiszli 2020, CVPR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from mml_core.config.objectives.gradient_blending import ALL, GradientBlendingConfig
from mml_core.networks import Prediction
from mml_core.objectives.base import Curves, EpochLosses, Losses, Objective
from mml_core.objectives.losses import classification_loss

#: Gains, and sizes of overfitting, below this share of the first validation loss count as that much.
FLOOR_SHARE = 0.01
#: The floor where that loss itself is next to nothing: histories have six decimals.
LEAST_FLOOR = 1e-6


class Behaviour(NamedTuple):
    """What became of the losses between two epochs, not below the floors."""

    generalisation: float  # fall of the validation loss, G
    overfitting: float  # growth of what the validation loss has above that of training, O, without its sign


def behaviour(curve: Sequence[EpochLosses]) -> Behaviour:
    """Return how a network generalised and overfitted from the first to the last epoch that it was validated in.

    The floors keep weights finite: a network that gets no better has next to no weight, and one whose overfitting
    hardly changes does not get all of it.
    """
    first, last = curve[0], curve[-1]
    floor = max(FLOOR_SHARE * first.validation, LEAST_FLOOR)
    gain = first.validation - last.validation
    growth = (last.validation - last.training) - (first.validation - first.training)
    return Behaviour(max(gain, floor), max(abs(growth), floor))


def blending_weights(behaviours: Mapping[str, Behaviour]) -> dict[str, float]:
    """Return w_k = G_k / O_k^2, divided by their sum."""
    raw = {name: one.generalisation / one.overfitting**2 for name, one in behaviours.items()}
    total = sum(raw.values())
    return {name: value / total for name, value in raw.items()}


class GradientBlending(Objective):
    """L = sum_k w_k CE_k over the heads of a network and the whole of it."""

    def __init__(self, behaviours: Mapping[str, Behaviour], *, multi_label: bool) -> None:
        super().__init__()
        self.weights, self.multi_label = blending_weights(behaviours), multi_label
        self.computed = {
            name: {"weight": self.weights[name], **one._asdict()} for name, one in sorted(behaviours.items())
        }

    def forward(
        self, predictions: Mapping[str, Prediction], targets: Tensor, teachers: Mapping[str, Prediction]
    ) -> Losses:
        """Return the losses; see `Objective`."""
        return {name: self._terms(one, targets) for name, one in predictions.items()}

    def _terms(self, prediction: Prediction, targets: Tensor) -> dict[str, Tensor]:
        heads = {**prediction.parts, ALL: prediction}
        return {
            f"cross_entropy_{name}": weight
            * classification_loss(heads[name].logits, targets, multi_label=self.multi_label)
            for name, weight in self.weights.items()
        }


def build(config: GradientBlendingConfig, *, multi_label: bool, curves: Curves) -> GradientBlending:
    """Return the objective that `config` describes, with weights from the losses of the networks that it names."""
    return GradientBlending({name: behaviour(curves[name]) for name in config.weights}, multi_label=multi_label)
