"""What every flow engine is: a function from frames of one size and pairs of them to displacement fields.

Convention: grey levels are those of eight-bit images, 0 to 255, whether stored as uint8 or as float32. The flow of a
pair is the displacement, in pixels, of what is at a pixel of its first frame until its second; channel 0 is x, positive
to the right, channel 1 is y, positive downwards, as in OpenCV.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch


class PairEngine(Protocol):
    """Computes flow. May be called from several threads at a time unless its class says otherwise."""

    #: Of the engine, for logs and shard attributes: torch, triton, numba, opencv.
    name: str
    #: Where it computes, and wants its frames.
    device: torch.device

    def __call__(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> torch.Tensor:
        """Return the flow, float32 (P, 2, H, W), on `device`.

        frames: grey levels (F, H, W), uint8 or float32 0 to 255, on `device`, both sides at least 16 pixels.
        pairs: indices of first and second frame, int64 (P, 2), on the CPU.
        initial: flow to start from (P, 2, H, W), float32; zero where it is not given.
        """
        ...

    def working_bytes(self, height: int, width: int, pairs: int, frames: int) -> int:
        """Return how much memory a batch of so many pairs of so many frames takes, in bytes.

        All that exists while it is computed, frames (as float32) and flow included; it grows with both counts.
        """
        ...


class Solution(NamedTuple):
    """Flow by TV-L1 with the work that it took."""

    flow: torch.Tensor  # float32 (P, 2, H, W)
    iterations: torch.Tensor  # int32 (P, levels, warps), CPU: inner iterations; level 0 is the finest


def pixel_iterations(iterations: torch.Tensor, sizes: list[tuple[int, int]]) -> torch.Tensor:
    """Return the pixel updates, int64 (P,), of `Solution.iterations` (P, levels, warps) with levels of `sizes`."""
    areas = torch.tensor([height * width for height, width in sizes])
    return (iterations.sum(2).long() * areas).sum(1)
