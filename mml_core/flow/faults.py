"""Faults of a GPU while flow is computed, told to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mml_core.errors import InputError


@contextmanager
def gpu_faults_told(on_processor: str) -> Iterator[None]:
    """Raise InputError where a GPU fails in the block; other errors are faults of the program.

    on_processor: what makes the flow be computed without a GPU, for the hint.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error).strip().partition("\n")[0]
        if isinstance(error, torch.OutOfMemoryError):
            told, hint = "the GPU has no memory for the flow of one pair", "does another program use this GPU?"
        elif isinstance(error, torch.AcceleratorError) or "CUDA error" in text or "Error [CUDA]" in text:
            told = "the GPU failed while flow was computed"
            hint = f"see nvidia-smi and the kernel's log; run again, or with {on_processor}"
        else:
            raise
        raise InputError(f"{told}: {text}", hint=hint) from error
