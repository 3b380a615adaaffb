"""Batch normalisation over a group of clips, which may be spread over several processes.

Running statistics move once a step, towards the mean over its groups, whichever process had them. So they depend
neither on the order of the groups nor on the number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mml_core.training.processes import Processes


class _Sum(torch.autograd.Function):
    """The sum of a tensor over `peers`. Each of their losses depends on it, so its gradient is a sum as well."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, peers: dist.ProcessGroup) -> Tensor:
        ctx.peers = peers
        total = values.clone()
        dist.all_reduce(total, group=peers)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone()
        dist.all_reduce(total, group=ctx.peers)
        return total, None


class GroupBatchNorm(_BatchNorm):
    """Batch normalisation of (B, C, ...) over one group of a step at a time, on any device.

    It holds the very parameters and buffers of the module that it replaces.
    """

    def __init__(self, module: _BatchNorm, peers: dist.ProcessGroup | None) -> None:
        super().__init__(module.num_features, module.eps, module.momentum, device="meta")
        self.weight, self.bias = module.weight, module.bias
        self.running_mean, self.running_var = module.running_mean, module.running_var
        self.num_batches_tracked = module.num_batches_tracked
        self.training = module.training
        self.peers = peers
        self.seen: Tensor | None = None  # (2, C), mean and variance of the group at hand
        self.pending: Tensor | None = None  # (2, C), those summed over the step's groups so far

    def _check_input_dim(self, input: Tensor) -> None:
        """Take inputs of any dimension."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` normalised; by the running statistics in evaluation."""
        if not self.training:
            return super().forward(input)
        normalised, statistics = self._alone(input) if self.peers is None else self._with_peers(input, self.peers)
        self.seen = statistics.detach()
        return normalised

    def _alone(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Return `input` normalised, and mean and unbiased variance (2, C): what torch's moves its statistics to."""
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        normalised = F.batch_norm(
            input, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps
        )
        return normalised, torch.stack([mean, variance])

    def _with_peers(self, input: Tensor, peers: dist.ProcessGroup) -> tuple[Tensor, Tensor]:
        """The same over the inputs of all `peers`."""
        over = [dimension for dimension in range(input.ndim) if dimension != 1]
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        count = values.new_tensor([input.numel() // input.shape[1]])
        dist.all_reduce(count, group=peers)
        mean = _Sum.apply(values.sum(over), peers) / count
        centred = values - _along_channels(mean, values)
        variance = _Sum.apply(centred.square().sum(over), peers) / count
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normalised = centred * _along_channels(scale, values) + _along_channels(self.bias, values)
        return normalised.to(input.dtype), torch.stack([mean, variance * count / (count - 1)]) / peers.size()

    def gather(self, share: float) -> None:
        """Add the statistics of the group at hand, if there are any, by its `share` in those of the step."""
        if self.seen is not None:
            weighted = self.seen * share
            self.pending = weighted if self.pending is None else self.pending + weighted
            self.seen = None

    @torch.no_grad()
    def settle(self, statistics: Tensor) -> None:
        """Move the running statistics towards those of a step, mean and variance (2, C)."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(statistics[0], self.momentum)
        self.running_var.lerp_(statistics[1], self.momentum)
        self.pending = None


def group_batch_norm(network: nn.Module, peers: dist.ProcessGroup | None) -> list[GroupBatchNorm]:
    """Exchange the batch normalisation in `network` for one over groups, and return it; parameters and names stay."""
    replaced = []
    for name, child in list(network.named_children()):
        if isinstance(child, _BatchNorm):
            replaced.append(GroupBatchNorm(child, peers))
            setattr(network, name, replaced[-1])
        else:
            replaced += group_batch_norm(child, peers)
    return replaced


def settle(modules: Sequence[GroupBatchNorm], processes: Processes) -> None:
    """Move the running statistics of all `modules` that a step went through in training."""
    waiting = [(module, module.pending) for module in modules if module.pending is not None]
    if not waiting:
        return
    totals = processes.sum(torch.cat([pending for _, pending in waiting], dim=1))
    for (module, _), statistics in zip(waiting, totals.split([one.shape[1] for _, one in waiting], dim=1), strict=True):
        module.settle(statistics)


def _along_channels(values: Tensor, like: Tensor) -> Tensor:
    """Return `values` (C,) in a shape that goes with `like` (B, C, ...)."""
    return values.reshape(1, -1, *[1] * (like.ndim - 2))
