"""Weights made for testing alone, whose batch normalisation was folded into the convolutions, as ones that can learn.

Folding replaces W by γ W / σ, so that what is left of the normalisation is a shift: mean 0, deviation 1, γ 1. With
these statistics the network says what it said. With those of a batch, as in training, each channel gets deviation 1
whatever it had, and behind shifts that were meant for larger ones a ReLU lets nothing through: no feature, no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: How far a variance may be from 1 where statistics were folded away: what conversions to 16 and 8 bits leave.
_TOLERANCE = 1e-3


def is_folded(state: Mapping[str, Tensor]) -> bool:
    """Return whether all statistics of batch normalisation in `state` are 0 and 1, though something was learnt."""
    means = {
        name.removesuffix(".running_mean"): value for name, value in state.items() if name.endswith("running_mean")
    }
    shifts = [state[f"{name}.bias"] for name in means if f"{name}.bias" in state]
    return (
        any(shift.any() for shift in shifts)
        and not any(mean.any() for mean in means.values())
        and all((state[f"{name}.running_var"] - 1).abs().max() < _TOLERANCE for name in means)
    )


@torch.no_grad()
def unfold(network: nn.Module, pictures: Tensor) -> None:
    """Give batch normalisations of `network` the statistics of `pictures`, and scales and shifts that make up for them.

    What it says in evaluation stays, for any input, up to rounding. In training on inputs like `pictures` it is then
    near to that, since a batch's statistics are near to the stored ones. `pictures`: what `network` takes.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [layer.register_forward_pre_hook(_refer_to_input) for layer in layers]
    network.eval()(pictures)
    for handle in handles:
        handle.remove()


def _refer_to_input(layer: nn.Module, inputs: tuple[Tensor]) -> None:
    """Let `layer` refer to mean and variance of its input (B, C, H, W), and compute what it computed."""
    assert isinstance(layer, nn.BatchNorm2d)
    mean, variance = inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3))
    factor = layer.weight / (layer.running_var + layer.eps).sqrt()
    layer.bias += factor * (mean - layer.running_mean)
    layer.weight.copy_(factor * (variance + layer.eps).sqrt())
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
