"""How many operations TV-L1 takes: what follows from its settings and the size of frames, before any is computed.

Convention: an operation is a sum, a product, a quotient, a root or a comparison of two numbers, each counted once. As
with networks, 1 GFLOP is 10^9 multiply-accumulates, and that is 2 * 10^9 operations.
"""

from __future__ import annotations

from mml_core.config.flow import Tvl1
from mml_core.flow.levels import level_sizes


def px_iterations_at_most(settings: Tvl1, height: int, width: int) -> int:
    """Return how many updates of a pixel a field of frames of `height` x `width` takes where no warp ends early.

    All levels, each with all its warps, each with inner_iterations · outer_iterations iterations. The stop rule ends
    most of them long before. Raises ValueError for frames that are too small to have flow.
    """
    pixels = sum(rows * columns for rows, columns in level_sizes(height, width, settings.scales, settings.scale_step))
    return pixels * settings.warps * settings.inner_iterations * settings.outer_iterations


def operations_per_px_iteration(settings: Tvl1) -> int:
    """Return the operations of one update of a pixel, as the equations of `flow.torch.reference` have them.

    With C fields, 2 of them flow and with illumination a third: rho 2 C, its quotient and two limits 3, v 2 C, the
    divergence of p and u 5 C, the gradient of u 2 C, its length 4 C (with a root), p 8 C (with two quotients), and the
    change that the stop rule looks at 3 C.
    """
    fields = 3 if settings.illumination else 2
    return 26 * fields + 3


def tvl1_gflops_at_most(settings: Tvl1, height: int, width: int) -> float:
    """Return the GFLOPs of a field of flow where no warp ends early; errors as `px_iterations_at_most`.

    Iterations alone count: pyramid, warped images and median filters do not.
    """
    return px_iterations_at_most(settings, height, width) * operations_per_px_iteration(settings) / 2 / 1e9
