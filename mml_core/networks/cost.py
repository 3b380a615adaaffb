"""What a network, or a part of one, costs: parameters and operations.

Convention: 1 GFLOP = 1e9 multiply-accumulates, each counted once, as papers on video count them (ResNet-50 at
224 x 224: 4.1). Convolutions and matrix products are counted; normalisation, activation and pooling are not.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mml_core.networks.interface import VideoNetwork


class Cost(NamedTuple):
    """What scores take: parameters of the modules that run for them, and GFLOPs of a clip."""

    parameters: int
    gflops: float


def parameters_millions(network: nn.Module) -> float:
    """Return the number of parameters, in millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def gflops_per_clip(network: nn.Module, *inputs: tuple[int, int, int, int]) -> float:
    """Return the GFLOPs of one forward pass over a clip of which the network's inputs are of shapes (S * T, C, H, W).

    Only shapes are computed (torch's meta device): nothing is calculated, and `network` is left as it is.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        shadow(*(torch.empty((1, *shape), device="meta") for shape in inputs))
    # The counter counts a multiply-accumulate as two operations.
    return counter.get_total_flops() / 2 / 1e9


def cost_of_scores(network: VideoNetwork, part: str, *inputs: tuple[int, int, int, int]) -> Cost:
    """Return what the scores of `part` take, those of the whole network where it is empty; `inputs` as above.

    Where the network can do without some modules for them (`VideoNetwork.ask`), these do not count.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    if part:
        shadow.ask(part)
    used: set[nn.Parameter] = set()
    for module in shadow.modules():
        module.register_forward_hook(lambda module, *_: used.update(module.parameters(recurse=False)))
    return Cost(gflops=gflops_per_clip(shadow, *inputs), parameters=sum(one.numel() for one in used))
