"""Cross-entropy with slower gradients for the stream that is ahead (Peng, Wei, Deng, Wang, Hu 2022; their program)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from mml_core.config.objectives.ogm_ge import OgmGeConfig
from mml_core.networks import Prediction
from mml_core.objectives.base import ClipSums, Losses, Objective, Step
from mml_core.objectives.losses import classification_loss, precise

#: Added to the deviation of the noise, as in the authors' program.
LEAST_DEVIATION = 1e-8


def label_probabilities(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Return the sum over clips of the probability that `logits` (B, N) give to the truth: a scalar, 0 … B.

    One label, `targets` (B,): softmax. Several, (B, N) zeros and ones: the mean over a clip's labels of the sigmoids,
    0 where it has none.
    """
    if not multi_label:
        return precise(logits).softmax(dim=1).gather(1, targets[:, None]).sum()
    targets = targets.to(precise(logits).dtype)
    return ((precise(logits).sigmoid() * targets).sum(dim=1) / targets.sum(dim=1).clamp(min=1)).sum()


def modulation(scores: Mapping[str, float], alpha: float) -> dict[str, float]:
    """Return k_u = 1 - tanh(alpha rho_u) where rho_u > 1, else 1, by stream (equation 10).

    rho_u is the score of a stream over that of the weakest one: with two streams the larger of the paper's two ratios
    (equation 8) for the stream that is ahead, and 1 for the other. A weakest score of 0 lets the others stand still.
    """
    weakest = min(scores.values())
    ratios = {
        name: 1.0 if score <= weakest else score / weakest if weakest else math.inf for name, score in scores.items()
    }
    return {name: 1 - math.tanh(alpha * ratio) if ratio > 1 else 1.0 for name, ratio in ratios.items()}


def kernels(stream: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the weights of the convolutions of `stream` that have gradients: those alone are changed."""
    for module in stream.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.weight.grad is not None:
            yield module.weight


class OgmGe(Objective):
    """Cross-entropy of the whole network; a kernel of stream u with gradient g learns from k_u g + N(0, std(g))."""

    changes_gradients = True

    def __init__(self, config: OgmGeConfig, *, multi_label: bool) -> None:
        super().__init__()
        self.config, self.multi_label = config, multi_label

    def forward(
        self, predictions: Mapping[str, Prediction], targets: Tensor, teachers: Mapping[str, Prediction]
    ) -> Losses:
        """Return the losses; see `Objective`."""
        return {
            name: {"cross_entropy": classification_loss(one.logits, targets, multi_label=self.multi_label)}
            for name, one in predictions.items()
        }

    @torch.no_grad()
    def measured(self, predictions: Mapping[str, Prediction], targets: Tensor) -> ClipSums:
        """Return what the streams of each network give to the truth, summed over clips (equation 7)."""
        return {
            name: {
                part: label_probabilities(said.logits, targets, multi_label=self.multi_label).double()
                for part, said in one.parts.items()
            }
            for name, one in predictions.items()
        }

    @torch.no_grad()
    def change_gradients(self, step: Step) -> None:
        """Modulate the gradients of the streams' kernels, and add noise."""
        first, last = self.config.epochs or (1, math.inf)
        if not first <= step.epoch + 1 <= last:
            return
        for name, network in step.networks.items():
            scores = {stream: value.item() for stream, value in step.sums[name].items()}
            for stream, factor in modulation(scores, self.config.alpha).items():
                for kernel in kernels(network.get_submodule(f"streams.{stream}")):
                    self._change(kernel.grad, factor, step.generator)

    def _change(self, gradient: Tensor, factor: float, generator: torch.Generator) -> None:
        deviation = gradient.std(correction=min(1, gradient.numel() - 1)) + LEAST_DEVIATION
        gradient.mul_(factor)
        if self.config.noise:
            drawn = torch.randn(gradient.shape, generator=generator, device=gradient.device, dtype=gradient.dtype)
            gradient.add_(drawn * deviation)


def build(config: OgmGeConfig, *, multi_label: bool) -> OgmGe:
    """Return the objective that `config` describes."""
    return OgmGe(config, multi_label=multi_label)
