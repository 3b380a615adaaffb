"""Where the places of a frame look, in networks with attention blocks (Chi et al. 2019, Figure 5). Tensors in and out.

B clips, S segments of T frames, H x W places of the maps that a block stands behind, h x w places of what they look at;
in 3-D networks T' and t times of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mml_core.figures.activation import enlarge, heat
from mml_core.networks.attention import AttentionBlock
from mml_core.networks.interface import VideoNetwork

#: Dimensions of the maps of a 3-D network.
CLIP_MAPS = 8


class Place(NamedTuple):
    """A place that is looked at: its middle, downwards and to the right in shares of the picture, and its share."""

    row: float
    column: float
    share: float


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


def shares_of(maps: Tensor, query: tuple[float, float]) -> Tensor:
    """Return how much the place at `query` looks at each place, (B, S * T, h, w), of the maps of `attention_maps`.

    `query` is a place in the picture, from (0, 0) at the top left to (1, 1) at the bottom right: downwards, then to the
    right. Of a 3-D network they are those of all its times, (B, S * t, h, w), the mean over the times of the query.
    """
    if maps.ndim == CLIP_MAPS:
        maps = maps.mean(dim=2)
    row, column = (min(int(share * size), size - 1) for share, size in zip(query, maps.shape[2:4], strict=True))
    return maps[:, :, row, column].flatten(1, -3)


def looked_at(maps: Tensor, query: tuple[float, float], side: int) -> Tensor:
    """Return where the place at `query` looks, as heat in 0 … 1 over the picture, (B, S * T, `side`, `side`).

    Of a 3-D network it is (B, S * t, `side`, `side`). `query` and `maps` are as in `shares_of`. 1 is where a clip's
    query looks most, in whichever of its frames.
    """
    shares = shares_of(maps, query)
    looking = maps.shape[3:5] if maps.ndim == CLIP_MAPS else maps.shape[2:4]
    rows, columns = (_places_of(*sizes) for sizes in zip(looking, maps.shape[-2:], strict=True))
    return heat(enlarge(shares[..., rows, :][..., columns], shares.shape[1], side))


def most_looked_at(shares: Tensor, places: tuple[int, int], most: int = 3) -> list[Place]:
    """Return the `most` places (fewer where there are fewer) of a frame that a query looks at most, most first.

    `shares` (h, w) are its own, as `shares_of` returns them, and `places` H and W, those that look.
    """
    values, indices = shares.flatten().sort(descending=True, stable=True)
    rows, columns = (_middles(*sizes) for sizes in zip(places, shares.shape, strict=True))
    return [
        Place(rows[index // shares.shape[1]], columns[index % shares.shape[1]], value)
        for value, index in zip(values[:most].tolist(), indices[:most].tolist(), strict=True)
    ]


def evenness(shares: Tensor) -> float:
    """Return the entropy of `shares` (h, w) over the largest that it can be, log(h w), in 0 … 1.

    0: the query looks at one place alone; 1: at all places alike.
    """
    if shares.numel() == 1:
        return 1.0
    return float(torch.special.entr(shares).sum() / math.log(shares.numel()))


def _edges(places: int, pooled: int) -> list[float]:
    """Return where `pooled` places begin and end, along a side on which `places` look: from 0 to 1, one edge more.

    Blocks pool two by two, and where the side is odd the last place stands for itself. Where what is looked at had
    another size, places are even parts.
    """
    if pooled == -(-places // 2):
        return [min(2 * place, places) / places for place in range(pooled + 1)]
    return [place / pooled for place in range(pooled + 1)]


def _middles(places: int, pooled: int) -> list[float]:
    """Return the middles of the `pooled` places, between `_edges`."""
    return [(first + last) / 2 for first, last in itertools.pairwise(_edges(places, pooled))]


def _places_of(places: int, pooled: int) -> Tensor:
    """Return within which of the `pooled` places the middle of each of the `places` is."""
    middles = (torch.arange(places, dtype=torch.float64) + 0.5) / places
    return torch.searchsorted(torch.tensor(_edges(places, pooled)[1:-1], dtype=torch.float64), middles, right=True)
