"""Slots, in which pairs are worked on: their memory on the GPU, how it is filled and read, and when pairs are done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from mml_core.flow.triton.control import LEVEL, RECORD, U
from mml_core.flow.triton.layout import Level

#: Results read at a time: they are copied once on their way.
_READ = 16


class Fields(NamedTuple):
    """What the kernels work on, of each slot; see mml_core.flow.triton.control, iterate and linearise."""

    pairs: torch.Tensor
    u: torch.Tensor
    p: torch.Tensor
    data: torch.Tensor
    changes: torch.Tensor
    control: torch.Tensor
    looked_at: torch.Tensor
    counts: torch.Tensor


class Batch(NamedTuple):
    """What the pairs of a call share, and what comes out of them, all on the GPU."""

    images: torch.Tensor  # I, Ix, Iy and 0 of each pixel, float32 (F, pixels of all levels, 4)
    pairs: torch.Tensor  # int32 (P, 2)
    begun: torch.Tensor | None  # flow (P, 2, h, w) that the coarsest level begins with; None: 0
    flow: torch.Tensor  # (P, 2, H, W), out
    counts: torch.Tensor  # iterations, int32 (P, levels, warps), out


class Work(NamedTuple):
    """What a slot works on, and with which chunk of ticks it began."""

    pair: int
    chunk: int


def allocate(count: int, levels: Sequence[Level], warps: int, block: int, device: torch.device) -> Fields:
    """Return fields for `count` slots, without pairs; levels: finest first."""
    plane = levels[0].height * levels[0].pitch
    tiles = max(level.tiles for level in levels)
    return Fields(
        pairs=torch.zeros((count, 2), dtype=torch.int32, device=device),
        u=torch.zeros((count, 2, 2, plane), device=device),
        p=torch.zeros((count, 2, 4, plane), device=device),
        data=torch.zeros((count, 3, plane), device=device),
        changes=torch.zeros((count, block, tiles), device=device),
        control=torch.zeros((count, RECORD.value), dtype=torch.int32, device=device),
        looked_at=torch.zeros(count, device=device),
        counts=torch.zeros((count, len(levels), warps), dtype=torch.int32, device=device),
    )


def fill(fields: Fields, begin: Sequence[tuple[int, int]], batch: Batch, record: torch.Tensor, coarsest: Level) -> None:
    """Let slots begin with pairs, (slot, pair) each, as with fresh memory; record: of a pair that begins, (RECORD,)."""
    slots, pairs = (indices(part, fields.u.device) for part in zip(*begin, strict=True))
    for field in fields:
        field.index_fill_(0, slots, 0)
    fields.pairs.index_copy_(0, slots, batch.pairs[pairs])
    fields.control.index_copy_(0, slots, record.expand(len(begin), -1))
    if batch.begun is not None:
        rows = fields.u[:, 0, :, : coarsest.height * coarsest.pitch].unflatten(2, (coarsest.height, coarsest.pitch))
        rows[..., : coarsest.width].index_copy_(0, slots, batch.begun[pairs])


def write_results(fields: Fields, done: Sequence[tuple[int, int]], batch: Batch, finest: Level) -> None:
    """Write flow and iterations of pairs that are done, (slot, pair) each, to `batch`."""
    for first in range(0, len(done), _READ):
        slots, pairs = (indices(part, fields.u.device) for part in zip(*done[first : first + _READ], strict=True))
        last = fields.u[slots, fields.control[slots, U.value].long()]  # that buffer of u where each left its flow
        rows = last.unflatten(2, (finest.height, finest.pitch))
        batch.flow.index_copy_(0, pairs, rows[..., : finest.width])
        batch.counts.index_copy_(0, pairs, fields.counts[slots])


def indices(numbers: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return `numbers` on the device, int64, without waiting for what a GPU is at."""
    host = torch.tensor(numbers, dtype=torch.int64)
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host


class Report:
    """At which level each slot is: on its way to the host when this is made."""

    def __init__(self, control: torch.Tensor) -> None:
        at = control[:, LEVEL.value].clone()
        self._host, self._arrived = at, None
        if control.is_cuda:
            self._host = torch.empty(at.shape, dtype=at.dtype, pin_memory=True)
            self._host.copy_(at, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def done(self, working: dict[int, Work], chunk: int) -> list[int]:
        """Return, when it has come, which slots are done with what they work on; chunk: that this is the report of.

        A pair that began later is not, whatever this says of the pair that was in the slot before.
        """
        if self._arrived is not None:
            self._arrived.synchronize()
        at = self._host.tolist()
        return [slot for slot, work in working.items() if at[slot] < 0 and work.chunk <= chunk]
