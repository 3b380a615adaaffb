"""Numbers too small for a full mantissa, which processors are slow with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def without_denormals() -> Iterator[None]:
    """Let this thread take numbers below 1e-38 as 0 in the block: the flow of flat images is full of them."""
    smallest = torch.tensor([torch.finfo(torch.float32).tiny])
    before = not (smallest / 2).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
