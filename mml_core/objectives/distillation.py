"""Distillation from a frozen teacher: MARS and MERS (Crasto et al. 2019), D3D (Stroud et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from mml_core.config.objectives.distillation import D3dConfig, DistillationBase, MarsConfig, MersConfig
from mml_core.networks import Prediction
from mml_core.objectives.base import Losses, Objective
from mml_core.objectives.losses import classification_loss, precise


class Distillation(Objective):
    """L = L_CE(p, y) + weight * |student - teacher|^2, the teacher frozen, for each student of the stage.

    Args:
        compared: `pooled`, the features before the classifier (MARS, section 3); `logits` (D3D); or an inner block,
            whose maps are pooled over space and time.
        weight: of the distance. The published ones, 50 and 1, go with `reduction` mean.
        reduction: of the squared differences over the elements of an example; over examples it is the mean.
        classify: whether there is a cross-entropy beside the distance (MERS has none).
        multi_label: whether a video may have several labels. The distance is then divided by the number of classes once
            more, as the classification loss is (MML, section IV-C and appendix B).
    """

    def __init__(
        self,
        *,
        compared: Literal["pooled", "layer3", "logits"],
        weight: float,
        reduction: Literal["mean", "sum"],
        classify: bool,
        multi_label: bool,
    ) -> None:
        super().__init__()
        self.compared, self.weight, self.reduction = compared, weight, reduction
        self.classify, self.multi_label = classify, multi_label

    def forward(
        self, predictions: Mapping[str, Prediction], targets: Tensor, teachers: Mapping[str, Prediction]
    ) -> Losses:
        """Return the losses; see `Objective`.

        Raises ValueError unless there is exactly one teacher, of as many features or logits as the students.
        """
        if len(teachers) != 1:
            raise ValueError(f"expected the prediction of one teacher, got {len(teachers)}")
        taught = self._compared(next(iter(teachers.values()))).detach()
        return {name: self._terms(prediction, targets, taught) for name, prediction in predictions.items()}

    def _terms(self, prediction: Prediction, targets: Tensor, taught: Tensor) -> dict[str, Tensor]:
        own = self._compared(prediction)
        if own.shape != taught.shape:
            raise ValueError(f"{self.compared}: student {tuple(own.shape)}, teacher {tuple(taught.shape)}")
        terms = {}
        if self.classify:
            terms["cross_entropy"] = classification_loss(prediction.logits, targets, multi_label=self.multi_label)
        elements = own.shape[1] if self.reduction == "sum" else 1
        classes = prediction.logits.shape[1] if self.multi_label else 1
        return terms | {"distillation": self.weight * elements * F.mse_loss(own, taught) / classes}

    def _compared(self, prediction: Prediction) -> Tensor:
        """Return what of a prediction the students are drawn to, (B, F) or (B, N)."""
        match self.compared:
            case "pooled":
                return precise(prediction.features)
            case "logits":
                return precise(prediction.logits)
            case block:
                return _pooled(precise(prediction.maps[block]))


def _pooled(maps: Tensor) -> Tensor:
    """Return the maps of a block, (B, S * T, C, H, W) or (B, S, C, T, H, W), pooled: (B, C)."""
    over = (1, 3, 4) if maps.ndim == 5 else (1, 3, 4, 5)
    return maps.mean(dim=over)


def build(config: DistillationBase, *, multi_label: bool) -> Distillation:
    """Return the objective that `config` describes."""
    common = {"reduction": config.reduction, "multi_label": multi_label}
    match config:
        case MarsConfig():
            return Distillation(compared=config.features, weight=config.weight, classify=True, **common)
        case MersConfig():
            return Distillation(compared=config.features, weight=config.weight, classify=config.joint, **common)
        case D3dConfig():
            return Distillation(compared="logits", weight=config.weight, classify=True, **common)
    raise TypeError(f"no distillation: {config}")
