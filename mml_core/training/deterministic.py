"""Kernels of a training that give the same bits in every run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mml_core.networks.float32 import float32_convolutions


@contextmanager
def deterministic() -> Iterator[None]:
    """Ask for kernels that give the same bits in every run, and compute in float32 what is, during the block."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        with float32_convolutions():
            yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before
