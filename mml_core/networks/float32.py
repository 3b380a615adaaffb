"""What float32 means on GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32_convolutions() -> Iterator[None]:
    """Have convolutions of float32 computed in float32, as matrix products are; also a decorator.

    By torch's default cuDNN rounds what goes into them to TF32, 10 bits behind the binary point instead of 23, on GPUs
    that have it. Convolutions in float16 stay as they are.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
