"""Where the places of a frame look, in networks with attention blocks (Chi et al. 2019, Figure 5). Tensors in and out.

B clips, S segments of T frames, H x W places of the maps that a block stands behind, h x w places of what they look at;
in 3-D networks T' and t times of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mml_core.figures.activation import enlarge, heat
from mml_core.networks.attention import AttentionBlock
from mml_core.networks.interface import VideoNetwork

#: Dimensions of the maps of a 3-D network.
CLIP_MAPS = 8


def last_block(network: VideoNetwork, branch: str = "") -> str:
    """Return the name of the last attention block of `branch`, or of a network without branches.

    In the paper's networks it is behind the last unit of res4. A branch's blocks look at the other branch, those of a
    non-local network at the frame itself. Raises ValueError where there is none.
    """
    within = f"{branch}." if branch else ""
    blocks = [name for name, one in network.named_modules() if isinstance(one, AttentionBlock)]
    for kind in ("attention", "non_local"):
        if own := [name for name in blocks if name.startswith(f"{within}{kind}.")]:
            return own[-1]
    raise ValueError(f"no attention block in {branch or 'the network'} of a {type(network).__name__}")


@torch.no_grad()
def attention_maps(network: VideoNetwork, inputs: Sequence[Tensor], block: str) -> Tensor:
    """Return how much each place of each frame looks at each place through `block`, (B, S * T, H, W, h, w).

    In 3-D networks it is (B, S, T', H, W, t, h, w), how much each place of a segment looks at each place and time. The
    shares of a place sum to 1. `inputs` are what `forward` takes, (B, S * T, C, H', W') each; the network is in
    evaluation mode. Raises ValueError where the block does not run, as that of a branch whose scores are not asked for.
    """
    module, taken = network.get_submodule(block), []
    hook = module.register_forward_pre_hook(lambda _, arguments: taken.append(arguments))
    try:
        network(*inputs)
    finally:
        hook.remove()
    if not taken:
        raise ValueError(f"{block} has no part in the scores that are asked for")
    return module.attention_map(*taken[0]).unflatten(0, (len(inputs[0]), -1))


def looked_at(maps: Tensor, query: tuple[float, float], side: int) -> Tensor:
    """Return where the place at `query` looks, as heat in 0 … 1 over the picture, (B, S * T, `side`, `side`).

    In 3-D networks it is the mean over the times of the query, (B, S * t, `side`, `side`).

    `query` is a place in the picture, from (0, 0) at the top left to (1, 1) at the bottom right: downwards, then to the
    right. `maps` are those of `attention_maps`. 1 is where a clip's query looks most, in whichever of its frames.
    """
    if maps.ndim == CLIP_MAPS:
        maps = maps.mean(dim=2)
    row, column = (min(int(share * size), size - 1) for share, size in zip(query, maps.shape[2:4], strict=True))
    shares = maps[:, :, row, column].flatten(1, -3)
    return heat(enlarge(shares, shares.shape[1], side))
