"""Batch normalisation over the clips of all processes that train a network together."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. Each process's loss depends on it, so its gradient is a sum as well."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SynchronisedBatchNorm(_BatchNorm):
    """Batch normalisation of (B, C, ...) by mean and variance over all processes, on any device.

    Torch's SyncBatchNorm computes the same, faster and on GPUs only.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Take inputs of any dimension."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` normalised; by the running statistics in evaluation."""
        if not self.training:
            return super().forward(input)
        over = [dimension for dimension in range(input.ndim) if dimension != 1]
        count = torch.tensor([input.numel() / input.shape[1]], dtype=torch.float64)
        dist.all_reduce(count)
        elements = count.item()
        mean = _Sum.apply(input.sum(over)) / elements
        centred = input - _along_channels(mean, input)
        variance = _Sum.apply(centred.square().sum(over)) / elements
        self._track(mean.detach(), variance.detach() * elements / (elements - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * _along_channels(scale, input) + _along_channels(self.bias, input)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def synchronise_batch_norm(network: nn.Module) -> None:
    """Exchange the batch normalisation in `network` for one over all processes; parameters and names stay."""
    if next(network.parameters()).device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return
    for name, child in list(network.named_children()):
        if isinstance(child, _BatchNorm):
            setattr(network, name, _synchronised(child))
        elif next(child.parameters(), None) is not None:
            synchronise_batch_norm(child)


def _synchronised(module: _BatchNorm) -> SynchronisedBatchNorm:
    new = SynchronisedBatchNorm(module.num_features, module.eps, module.momentum)
    new.weight, new.bias = module.weight, module.bias
    new.running_mean, new.running_var = module.running_mean, module.running_var
    new.num_batches_tracked = module.num_batches_tracked
    return new


def _along_channels(values: Tensor, like: Tensor) -> Tensor:
    """Return `values` (C,) in a shape that goes with `like` (B, C, ...)."""
    return values.reshape(1, -1, *[1] * (like.ndim - 2))
