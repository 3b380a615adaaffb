"""Cross-modality attention: each place of one feature map looks at all places of another one (Chi et al. 2019)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from mml_core.networks.backbones import initialise_convolution


class AttentionBlock(nn.Module):
    """The CMA block, and with both of its inputs the same the non-local block (section 3, equations 1 and 5).

    Queries come from `x`, keys and values from `y`, by convolutions of one place to half the channels, d:

        out = x + BN(W softmax(Q K^T / sqrt(d)) V)

    "Before k and v" the maximum over 2 x 2 places of `y` is taken (frames stay as they are in 3-D), and where a side is
    odd its last place stands for itself. All convolutions are linear, without bias, and drawn as those of a ResNet.
    The scale of the batch normalisation starts at zero: a new block changes nothing.

    Args:
        channels: C of both inputs.
        dimensions: 2 for images (N, C, H, W), 3 for clips (N, C, T, H, W).
    """

    def __init__(self, channels: int, dimensions: Literal[2, 3] = 2) -> None:
        super().__init__()
        if dimensions == 2:
            convolution, normalisation, self.pool = nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d(2, ceil_mode=True)
        else:
            convolution, normalisation = nn.Conv3d, nn.BatchNorm3d
            self.pool = nn.MaxPool3d((1, 2, 2), ceil_mode=True)
        inner = channels // 2
        self.query = convolution(channels, inner, kernel_size=1, bias=False)
        self.key = convolution(channels, inner, kernel_size=1, bias=False)
        self.value = convolution(channels, inner, kernel_size=1, bias=False)
        self.out = convolution(inner, channels, kernel_size=1, bias=False)
        for one in (self.query, self.key, self.value, self.out):
            initialise_convolution(one)
        self.bn = normalisation(channels)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return what `x` (N, C, …) becomes by looking at `y` (N, C, …), of any size; by default at `x` itself."""
        seen = self.pool(x if y is None else y)
        z = F.scaled_dot_product_attention(_rows(self.query(x)), _rows(self.key(seen)), _rows(self.value(seen)))
        z = z.squeeze(1).transpose(1, 2).unflatten(2, x.shape[2:])  # (N, C / 2, …)
        return x + self.bn(self.out(z))

    def attention_map(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return how much each place of `x` looks at each pooled place of `y`, for pictures: the shares sum to 1.

        Of shape (N, H, W, h, w), or (N, T, H, W, t, h, w) in 3-D: places of `x`, then those of `y` with its height and
        width halved and rounded up.
        """
        seen = self.pool(x if y is None else y)
        queries, keys = _rows(self.query(x)).squeeze(1), _rows(self.key(seen)).squeeze(1)
        shares = (queries @ keys.transpose(1, 2) / queries.shape[-1] ** 0.5).softmax(dim=-1)
        return shares.unflatten(2, seen.shape[2:]).unflatten(1, x.shape[2:])


def _rows(x: Tensor) -> Tensor:
    """Return `x` (N, C, …) as (N, 1, places, C): one head, which torch's fused kernels want as an axis."""
    return x.flatten(2).transpose(1, 2).unsqueeze(1)
