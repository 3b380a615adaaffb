"""The processes that train one stage together, a GPU each: their shares of the work, sums over them, agreement.

Whatever their number, a step takes the same clips, and gradients are those of the mean loss over all of them. A stage
that one process trains has `ALONE`, for which nothing here has an effect.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """This process (`rank`, from 0) among `count` that do the same in the same order."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this process's part of `items`: each item is in one part, and parts differ in size by one at most."""
        return items[self.rank :: self.count]

    def peers(self, size: int) -> dist.ProcessGroup | None:
        """Return the group of `size` neighbouring processes that this one is of; None where that is itself alone."""
        if size == 1:
            return None
        groups = [dist.new_group(list(range(first, first + size))) for first in range(0, self.count, size)]
        return groups[self.rank // size]

    def sum(self, values: Tensor) -> Tensor:
        """Replace `values` by their sum over the processes, and return them."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def any(self, told: bool) -> bool:
        """Return whether any process was `told`: the same answer in all of them."""
        return self.sum(torch.tensor(int(told))).item() > 0

    def all_equal(self, value: int) -> bool:
        """Return whether all processes have this `value`: the same answer in all of them."""
        values = torch.zeros(self.count, dtype=torch.int64)
        values[self.rank] = value
        return bool((self.sum(values) == value).all())

    def wait(self) -> None:
        """Return once every process has come here."""
        self.any(False)

    def together(self, network: nn.Module) -> nn.Module:
        """Return what to call in training instead of `network`, so that all processes' clips count in its gradient.

        `network` keeps its parameters, of which those that require a gradient now are the ones that can learn.
        """
        if self.count == 1:
            return network
        device = next(network.parameters()).device
        return DistributedDataParallel(
            network,
            device_ids=[torch.cuda.current_device()] if device.type == "cuda" else None,
            **{_SYNC_BUFFERS: False},
            # Parts may not learn in an epoch. And without it torch regroups the gradients after the first step, sums
            # over more than two processes round differently then, and a training that was resumed would differ from
            # one that was not.
            find_unused_parameters=True,
        )


@contextmanager
def gradients_kept(model: nn.Module, *, kept: bool) -> Iterator[None]:
    """For the duration of the block, and where `kept`, only add to a model's gradients: they are exchanged later."""
    if kept and isinstance(model, DistributedDataParallel):
        with model.no_sync():
            yield
    else:
        yield


#: What DistributedDataParallel calls the copying of buffers before each step: `broadcast_buffers` before torch 2.13.
_SYNC_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)

#: Of a stage that one process trains.
ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that were started together with this one, if it was (`mml_core.training.launch`).

    A process that fails leaves without goodbye, since the others may be waiting for it.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    yield Processes(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()
