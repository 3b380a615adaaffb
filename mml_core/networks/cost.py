"""What a network costs: parameters and operations.

Convention: 1 GFLOP = 1e9 multiply-accumulates, each counted once, as papers on video count them (ResNet-50 at
224 x 224: 4.1). Convolutions and matrix products are counted; normalisation, activation and pooling are not.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters_millions(network: nn.Module) -> float:
    """Return the number of parameters, in millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def gflops_per_clip(network: nn.Module, *clip_shapes: tuple[int, int, int, int]) -> float:
    """Return the GFLOPs of one forward pass over a clip, whose inputs are of `clip_shapes` (T, C, H, W).

    Only shapes are computed (torch's meta device): nothing is calculated, and `network` is left as it is.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        shadow(*(torch.empty((1, *shape), device="meta") for shape in clip_shapes))
    # The counter counts a multiply-accumulate as two operations.
    return counter.get_total_flops() / 2 / 1e9
