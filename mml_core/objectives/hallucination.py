"""Generalised distillation with the distance of feature maps (Garcia, Morerio, Murino 2018, equations 3 to 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mml_core.config.objectives.hallucination import HallucinationConfig
from mml_core.networks import Prediction
from mml_core.objectives.base import Losses, Objective
from mml_core.objectives.losses import classification_loss, precise


def distance(own: Tensor, other: Tensor, *, reduction: Literal["sum", "mean"]) -> Tensor:
    """Return |sigmoid(own) - sigmoid(other)|^2 of maps (B, ...), equation 3 without its weight.

    The squares of an example, of all frames, channels and places, are summed or averaged; over examples it is the mean
    (equation 4).
    """
    squares = (precise(own).sigmoid() - precise(other).sigmoid()).square().flatten(1)
    return (squares.sum(dim=1) if reduction == "sum" else squares.mean(dim=1)).mean()


def soft_loss(own: Tensor, other: Tensor, *, temperature: float, temper_own: bool, multi_label: bool) -> Tensor:
    """Return the cross-entropy of `own` logits (B, N) with the soft labels of `other` (equations 5 and 6).

    One label: soft labels are softmax(other / T), and the sum over classes is divided by B. Several: they are
    sigmoid(other / T), for each class a share of yes, and it is divided by B * N, as the loss with hard labels is.
    `temper_own` divides `own` by T too; there is no factor T^2.
    """
    own, other = precise(own) / (temperature if temper_own else 1.0), precise(other) / temperature
    if multi_label:
        return F.binary_cross_entropy_with_logits(own, other.sigmoid())
    return F.cross_entropy(own, other.softmax(dim=1))


class Hallucination(Objective):
    """L = (1 - alpha) ((1 - lambda) hard + lambda soft) + alpha * distance, for each network's target (equation 7).

    The source is what it imitates, at its feature maps and its logits, and learns nothing. A network that learns
    nothing at the moment runs without a privileged source, and has no loss.
    """

    def __init__(self, config: HallucinationConfig, *, multi_label: bool) -> None:
        super().__init__()
        self.config, self.multi_label = config, multi_label

    def forward(
        self, predictions: Mapping[str, Prediction], targets: Tensor, teachers: Mapping[str, Prediction]
    ) -> Losses:
        """Return the losses; see `Objective`."""
        return {name: self._terms(one, targets) for name, one in predictions.items() if "source" in one.parts}

    def _terms(self, prediction: Prediction, targets: Tensor) -> dict[str, Tensor]:
        config = self.config
        own, other = prediction.parts["target"].logits, prediction.parts["source"].logits.detach()
        labels = 1 - config.distance
        terms = {}
        if hard := labels * (1 - config.soft):
            terms["cross_entropy"] = hard * classification_loss(own, targets, multi_label=self.multi_label)
        if soft := labels * config.soft:
            terms["soft_labels"] = soft * soft_loss(
                own,
                other,
                temperature=config.temperature,
                temper_own=config.temper_target,
                multi_label=self.multi_label,
            )
        if config.distance:
            terms["distance"] = config.distance * config.factor * self._distance(prediction.maps)
        return terms

    def _distance(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the distances of all layers, each times its weight, added up."""
        each = [
            weight
            * distance(maps[f"target.{layer}"], maps[f"source.{layer}"].detach(), reduction=self.config.reduction)
            for layer, weight in sorted(self.config.layers.items())
        ]
        return torch.stack(each).sum()


def build(config: HallucinationConfig, *, multi_label: bool) -> Hallucination:
    """Return the objective that `config` describes."""
    return Hallucination(config, multi_label=multi_label)
