"""What a network, or a part of one, costs: parameters and operations.

Convention: 1 GFLOP = 1e9 multiply-accumulates, each counted once, as papers on video count them (ResNet-50 at
224 x 224: 4.1). Convolutions and matrix products are counted; normalisation, activation and pooling are not.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from mml_core.networks.interface import VideoNetwork
from mml_core.runtime.compiler import compiler_stand_in


class Cost(NamedTuple):
    """What scores take: parameters of the modules that run for them, and GFLOPs of a clip.

    chosen: of these GFLOPs those of each of M modules that a network runs by choice, all of its segments being chosen.
    """

    parameters: int
    gflops: float
    chosen: tuple[float, ...] = ()

    def by_choices(self, choices: np.ndarray) -> np.ndarray:
        """Return the GFLOPs (R,) of clips of which a network used M modules as `choices` (R, S, M), 0 or 1, say.

        What is chosen for no segment costs nothing, and what is chosen for some costs the share of them.
        """
        if not self.chosen:
            return np.full(len(choices), self.gflops)
        return self.gflops - (1 - choices.mean(axis=1, dtype=np.float64)) @ np.array(self.chosen)


def parameters_millions(network: nn.Module) -> float:
    """Return the number of parameters, in millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def gflops_per_clip(network: nn.Module, *inputs: tuple[int, int, int, int]) -> float:
    """Return the GFLOPs of one forward pass over a clip of which the network's inputs are of shapes (S * T, C, H, W).

    Only shapes are computed (torch's meta device): nothing is calculated, and `network` is left as it is.
    """
    return _gflops_by_module(copy.deepcopy(network).to("meta").eval(), inputs).get("Global", 0.0)


def _gflops_by_module(shadow: nn.Module, inputs: Sequence[tuple[int, int, int, int]]) -> dict[str, float]:
    """Return the GFLOPs of `shadow`, on the meta device, over one clip, by what the counter calls its modules."""
    from torch.utils.flop_counter import FlopCounterMode  # only now: it brings Triton in, where that is installed

    with compiler_stand_in(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(*(torch.empty((1, *shape), device="meta") for shape in inputs))
    # The counter counts a multiply-accumulate as two operations.
    return {name: sum(flops.values()) / 2 / 1e9 for name, flops in counter.get_flop_counts().items()}


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
    gflops = _gflops_by_module(shadow, inputs)
    return Cost(
        parameters=sum(one.numel() for one in used),
        gflops=gflops.get("Global", 0.0),
        chosen=tuple(gflops[f"{type(shadow).__name__}.{name}"] for name in shadow.chosen),
    )
