"""Objectives of a stage: cross-entropy, mutual learning (MML, equations 1 to 4), and distillation (MARS, D3D).

An objective sees the predictions of all networks of the stage and the labels, and gives each trained network a loss of
its own. Everything is computed in float32 at least, also under autocast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mml_core.config.stage import CrossEntropyConfig, D3dConfig, MarsConfig, MutualConfig
from mml_core.networks import Prediction


class Losses(NamedTuple):
    """One loss a network, in the order of the predictions.

    totals: scalars to be minimised; their sum gives every network the gradient of its own loss alone.
    parts: the detached terms of each total by name: `cross_entropy` and, with mutual learning, `divergence`, or, with a
        teacher, `distillation`; their sum is the total.
    """

    totals: list[Tensor]
    parts: list[dict[str, Tensor]]


class CrossEntropy(nn.Module):
    """Each network by itself against the labels."""

    def __init__(self, *, multi_label: bool) -> None:
        super().__init__()
        self.multi_label = multi_label

    def forward(
        self, predictions: Sequence[Prediction], targets: Tensor, teachers: Sequence[Prediction] = ()
    ) -> Losses:
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

    def forward(
        self, predictions: Sequence[Prediction], targets: Tensor, teachers: Sequence[Prediction] = ()
    ) -> Losses:
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


class Distillation(nn.Module):
    """L = L_CE(p, y) + weight * MSE(student, teacher), the teacher frozen, for each student of the stage.

    What is compared is either the pooled features before the classifier (MARS, Crasto et al. 2019, section 3) or the
    logits (D3D, Stroud et al. 2020). The mean square is over the batch and the features or logits: the weights that
    both papers found best, 50 and 1, go with that mean. With several labels it is divided by the number of classes
    once more, as the classification loss then is (MML, section IV-C and appendix B).
    """

    def __init__(self, *, compared: Literal["features", "logits"], weight: float, multi_label: bool) -> None:
        super().__init__()
        self.compared, self.weight, self.multi_label = compared, weight, multi_label

    def forward(
        self, predictions: Sequence[Prediction], targets: Tensor, teachers: Sequence[Prediction] = ()
    ) -> Losses:
        """Return the losses for `targets`: (B,) class indices, or (B, N) zeros and ones with several labels.

        Raises ValueError unless there is exactly one teacher, of as many features or logits as the students.
        """
        if len(teachers) != 1:
            raise ValueError(f"expected the prediction of one teacher, got {len(teachers)}")
        taught = self._compared(teachers[0]).detach()
        totals, parts = [], []
        for prediction in predictions:
            own = self._compared(prediction)
            if own.shape != taught.shape:
                raise ValueError(f"{self.compared}: student {tuple(own.shape)}, teacher {tuple(taught.shape)}")
            cross_entropy = classification_loss(prediction.logits, targets, multi_label=self.multi_label)
            classes = prediction.logits.shape[1] if self.multi_label else 1
            distillation = self.weight * F.mse_loss(own, taught) / classes
            totals.append(cross_entropy + distillation)
            parts.append({"cross_entropy": cross_entropy.detach(), "distillation": distillation.detach()})
        return Losses(totals, parts)

    def _compared(self, prediction: Prediction) -> Tensor:
        """Return what of a prediction the students are drawn to, (B, F) or (B, N)."""
        match self.compared:
            case "features":
                return _precise(prediction.features)
            case "logits":
                return _precise(prediction.logits)


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


Objective = CrossEntropy | Mutual | Distillation


def build_objective(
    config: CrossEntropyConfig | MutualConfig | MarsConfig | D3dConfig, *, multi_label: bool
) -> Objective:
    """Return the objective that `config` describes, for videos with one label or with several."""
    match config:
        case CrossEntropyConfig():
            return CrossEntropy(multi_label=multi_label)
        case MutualConfig():
            return Mutual(target=config.target, multi_label=multi_label)
        case MarsConfig():
            return Distillation(compared="features", weight=config.weight, multi_label=multi_label)
        case D3dConfig():
            return Distillation(compared="logits", weight=config.weight, multi_label=multi_label)
