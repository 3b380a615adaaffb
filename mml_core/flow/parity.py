"""How far two flow fields of the same frames are apart."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Parity(NamedTuple):
    """Distances between flow fields: end points in pixels, and levels of the quantisation to eight bits."""

    mean_px: float
    median_px: float
    p95_px: float
    within_level: float  # share of the values, x and y, that differ by at most one level


def end_point_error(flow: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return the distance (P, H, W) in pixels between both displacements of each pixel; flow (P, 2, H, W)."""
    return torch.hypot(*(flow - reference).unbind(1))


def compare(flow: torch.Tensor, reference: torch.Tensor, bound_px: float = 20.0) -> Parity:
    """Return the distances between `flow` and `reference`, both float32 (P, 2, H, W), over all pairs together.

    Levels are 0 to 255 for -bound_px to bound_px, beyond which values are clipped. Values near 0 lie on the border
    between two levels, which is why equal levels say little.
    """
    errors = end_point_error(flow, reference).double().flatten()
    ordered = errors.sort().values
    levels = [
        ((field.clamp(-bound_px, bound_px) + bound_px) * (255 / (2 * bound_px))).round() for field in (flow, reference)
    ]
    within = ((levels[0] - levels[1]).abs() <= 1).double().mean().item()
    last = len(ordered) - 1
    return Parity(errors.mean().item(), ordered[last // 2].item(), ordered[round(last * 0.95)].item(), within)
