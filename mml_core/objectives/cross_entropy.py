"""Each network by itself against the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mml_core.config.objectives import CrossEntropyConfig
from mml_core.networks import Prediction
from mml_core.objectives.base import Losses, Objective
from mml_core.objectives.losses import classification_loss


class CrossEntropy(Objective):
    """The classification loss of each network, or the sum of those of its parts `heads`."""

    def __init__(self, *, heads: Sequence[str], multi_label: bool) -> None:
        super().__init__()
        self.heads, self.multi_label = heads, multi_label

    def forward(
        self, predictions: Mapping[str, Prediction], targets: Tensor, teachers: Mapping[str, Prediction]
    ) -> Losses:
        """Return the losses; see `Objective`."""
        return {name: {"cross_entropy": self._loss(one, targets)} for name, one in predictions.items()}

    def _loss(self, prediction: Prediction, targets: Tensor) -> Tensor:
        said = [prediction.parts[head].logits for head in self.heads] or [prediction.logits]
        losses = [classification_loss(logits, targets, multi_label=self.multi_label) for logits in said]
        return sum(losses[1:], losses[0])


def build(config: CrossEntropyConfig, *, multi_label: bool) -> CrossEntropy:
    """Return the objective that `config` describes."""
    return CrossEntropy(heads=config.heads, multi_label=multi_label)
