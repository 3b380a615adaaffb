"""Objectives of a stage: cross-entropy, and mutual learning between any number of networks (MML, equations 1 to 4).

An objective sees the predictions of all networks of the stage and the labels, and gives each network a loss of its
own. Everything is computed in float32 at least, also under autocast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mml_core.config.recipe import CrossEntropyConfig, MutualConfig
from mml_core.networks.tsm import Prediction


class Losses(NamedTuple):
    """One loss a network, in the order of the predictions.

    totals: scalars to be minimised; their sum gives every network the gradient of its own loss alone.
    parts: the detached terms of each total by name: `cross_entropy` and, with mutual learning, `divergence`.
    """

    totals: list[Tensor]
    parts: list[dict[str, Tensor]]


class CrossEntropy(nn.Module):
    """Each network by itself against the labels."""

    def __init__(self, *, multi_label: bool) -> None:
        super().__init__()
        self.multi_label = multi_label

    def forward(self, predictions: Sequence[Prediction], targets: Tensor) -> Losses:
        """Return the losses for `targets`: (B,) class indices, or (B, N) zeros and ones with several labels."""
        totals = [classification_loss(p.logits, targets, multi_label=self.multi_label) for p in predictions]
        return Losses(totals, [{"cross_entropy": total.detach()} for total in totals])


class Mutual(nn.Module):
    """L_i = L_CE(p_i, y) + L_KL(target_i || p_i), target_i the mean prediction of the other networks, detached.

    MML, equations 1 to 4. `target` says what is averaged over the others: their probabilities (the paper's
    equation 4) or their logits (the authors' code); with two networks that is the same.
    """

    def __init__(self, *, target: Literal["probabilities", "logits"], multi_label: bool) -> None:
        super().__init__()
        self.target, self.multi_label = target, multi_label

    def forward(self, predictions: Sequence[Prediction], targets: Tensor) -> Losses:
        """Return the losses for `targets`: (B,) class indices, or (B, N) zeros and ones with several labels.

        Raises ValueError for fewer than two predictions.
        """
        if len(predictions) < 2:
            raise ValueError(f"expected the predictions of at least two networks, got {len(predictions)}")
        totals, parts = [], []
        for index, prediction in enumerate(predictions):
            others = [other.logits.detach() for j, other in enumerate(predictions) if j != index]
            cross_entropy = classification_loss(prediction.logits, targets, multi_label=self.multi_label)
            divergence = kl_divergence(
                self._log_target(others), log_probabilities(prediction.logits, multi_label=self.multi_label)
            )
            totals.append(cross_entropy + divergence)
            parts.append({"cross_entropy": cross_entropy.detach(), "divergence": divergence.detach()})
        return Losses(totals, parts)

    def _log_target(self, others: Sequence[Tensor]) -> Tensor:
        """Return the logarithm of the mean prediction of the networks with logits `others` (M - 1 times (B, N))."""
        match self.target:
            case "logits":
                mean = torch.stack([_precise(logits) for logits in others]).mean(dim=0)
                return log_probabilities(mean, multi_label=self.multi_label)
            case "probabilities":
                logs = torch.stack([log_probabilities(logits, multi_label=self.multi_label) for logits in others])
                return logs.logsumexp(dim=0) - math.log(len(others))


def classification_loss(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Return the mean loss of `logits` (B, N) against the labels (MML, equations 5 and 6).

    One label: cross-entropy with `targets` (B,), divided by B. Several: binary cross-entropy with `targets` (B, N)
    of zeros and ones, divided by B * N.
    """
    if multi_label:
        return F.binary_cross_entropy_with_logits(_precise(logits), targets.to(_precise(logits).dtype))
    return F.cross_entropy(_precise(logits), targets)


def log_probabilities(logits: Tensor, *, multi_label: bool) -> Tensor:
    """Return the logarithms of the predicted distributions, which lie along the last dimension.

    One label: one distribution over the classes, (B, N). Several: for each class one over yes and no, (B, N, 2).
    """
    logits = _precise(logits)
    if multi_label:
        return torch.stack([F.logsigmoid(logits), F.logsigmoid(-logits)], dim=-1)
    return F.log_softmax(logits, dim=-1)


def kl_divergence(log_target: Tensor, log_prediction: Tensor) -> Tensor:
    """Return the mean of KL(target || prediction) = sum_n t_n * log(t_n / p_n) over the distributions (MML, eq. 3).

    The distributions lie along the last dimension. So the sum is divided by B with one label, and by B * N with
    several, which keeps the magnitude of the divergence that of the classification loss (MML, appendix B; the paper
    leaves open that each class then has a distribution over yes and no, the only reading in which the divergence
    is zero exactly where the predictions agree).
    """
    return F.kl_div(log_prediction, log_target, reduction="none", log_target=True).sum(dim=-1).mean()


def _precise(logits: Tensor) -> Tensor:
    """Return `logits` in float32, or as they are where they are more precise."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def build_objective(config: CrossEntropyConfig | MutualConfig, *, multi_label: bool) -> CrossEntropy | Mutual:
    """Return the objective that `config` describes, for videos with one label or with several."""
    match config:
        case CrossEntropyConfig():
            return CrossEntropy(multi_label=multi_label)
        case MutualConfig():
            return Mutual(target=config.target, multi_label=multi_label)
