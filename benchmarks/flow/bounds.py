"""What limits an iteration of TV-L1: counted bytes and operations, and the rates that this machine reaches.

A pixel-iteration is the update of one pixel by one inner iteration. Its work is counted in floating-point operations
(55, see mml_core/flow/operations.py) and in issue slots, one for each operation of a lane of a
vector unit, a product with a sum being one operation:

    processor   59: 23 of the primal step, 18 of each dual component (mml_core/flow/numba/sweep.py), where estimates of
                roots and reciprocals, which take longer, count as one each
    GPU         45, where roots and reciprocals count nothing, as other units do them

Its traffic are the arrays that an iteration reads and writes if nothing stays in registers between its passes:

    opencv   160 bytes: v (6 + 2 arrays), two divergences (3 each), u (6 + 2), two gradients (3 each), p (8 + 4)
    torch    456 bytes: 114 arrays of intermediate results, counted in `_iterate` of mml_core/flow/torch/reference.py
    numba    64 bytes a pass, state (6 + 6) and data term (4), over the iterations of the deepest pass
    triton   60 bytes a pass, u, p and linearised image (9 + 6), over the iterations of the deepest pass

Rates are measured in the run: copying between arrays as large as a pair's working set, on all threads at a time; and
multiply-adds in registers. The GPU's issue rate is multiprocessors x 128 lanes x clock. Engines take shallower passes
near the end of a warp, and a processor's caches serve them faster than the copy suggests, the smaller the level.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from mml_core.config.flow import Tvl1
from mml_core.flow.operations import operations_per_px_iteration

FLOP = operations_per_px_iteration(Tvl1())
SLOTS_PROCESSOR, SLOTS_GPU = 59, 45
_PASS_BYTES = {"opencv": 160, "torch": 456, "numba": 64, "triton": 60}
#: Working set of a pair, bytes a pixel: state and data term of the fused engines.
_WORKING_SET = 64
_GPU_COPY_BYTES = 1 << 30
_LANES_PER_MULTIPROCESSOR = 128
_SECONDS = 0.1


class Bounds(NamedTuple):
    """Rates of the device, all threads together; `slots_per_s` is 0 where nothing here can measure it."""

    bytes_per_s: float
    slots_per_s: float
    slots: int


def bytes_per_px_iteration(engine: str) -> float:
    """Return the traffic that the model counts for an iteration of a pixel by an engine, in bytes."""
    return _PASS_BYTES[engine] / _deepest_pass(engine)


def _deepest_pass(engine: str) -> int:
    match engine:  # imported only here, since a machine may lack what another engine needs
        case "numba":
            from mml_core.flow.numba.level import DEPTH

            return DEPTH
        case "triton":
            from mml_core.flow.triton.engine import Tuning

            return Tuning().block
        case _:
            return 1


def memory_share(px_iterations_per_s: float, engine: str, bounds: Bounds) -> float:
    """Return which part of the memory bound a rate is."""
    return px_iterations_per_s * bytes_per_px_iteration(engine) / bounds.bytes_per_s


def issue_share(px_iterations_per_s: float, bounds: Bounds) -> float:
    """Return which part of the issue bound a rate is; 0 where that is not known."""
    return px_iterations_per_s * bounds.slots / bounds.slots_per_s if bounds.slots_per_s else 0.0


def measure_bounds(device: torch.device, height: int, width: int, threads: int) -> Bounds:
    """Measure the device, with the working set of a pair of `height` x `width` frames for each of `threads`."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        lanes = properties.multi_processor_count * _LANES_PER_MULTIPROCESSOR
        clock_khz = getattr(properties, "clock_rate", 0)  # older versions of torch do not say
        return Bounds(_gpu_copy_rate(device), lanes * clock_khz * 1e3, SLOTS_GPU)
    half = np.ones(height * width * _WORKING_SET // 8, np.float32)  # half of it: the source, or the target

    def copier() -> Callable[[], float]:
        source, target = half.copy(), half.copy()

        def copy() -> float:
            np.copyto(target, source)
            return 2.0 * source.nbytes

        return copy

    return Bounds(_rate(copier, threads), _rate(_multiply_adder, threads), SLOTS_PROCESSOR)


def _rate(make: Callable[[], Callable[[], float] | None], threads: int) -> float:
    """Return the amount a second, the best of three times, of functions that do some work and return its amount."""
    works = [work for _ in range(threads) if (work := make()) is not None]
    if not works:
        return 0.0
    for work in works:
        work()

    def repeat(work: Callable[[], float]) -> float:
        amount, began = 0.0, time.perf_counter()
        while (passed := time.perf_counter() - began) < _SECONDS:
            amount += work()
        return amount / passed

    with ThreadPoolExecutor(threads) as pool:
        return max(sum(pool.map(repeat, works)) for _ in range(3))


def _multiply_adder() -> Callable[[], float] | None:
    """Return what does multiply-adds in registers, and counts their lanes."""
    try:
        import numba

        from mml_core.flow.numba.lanes import WIDTH, load, store
    except ImportError:
        return None

    chains, rounds = 12, 100_000  # enough under way for two units with a delay of 4

    @numba.njit(nogil=True)
    def run(values: np.ndarray, rounds: int) -> None:
        a, b, c, d = load(values, 0), load(values, 1), load(values, 2), load(values, 3)
        e, f, g, h = load(values, 4), load(values, 5), load(values, 6), load(values, 7)
        i, j, k, m = load(values, 8), load(values, 9), load(values, 10), load(values, 11)
        factor, summand = load(values, 12), load(values, 13)
        for _ in range(rounds):
            a, b, c, d = a * factor + summand, b * factor + summand, c * factor + summand, d * factor + summand
            e, f, g, h = e * factor + summand, f * factor + summand, g * factor + summand, h * factor + summand
            i, j, k, m = i * factor + summand, j * factor + summand, k * factor + summand, m * factor + summand
        store(values, 16, ((a + b) + (c + d)) + ((e + f) + (g + h)) + ((i + j) + (k + m)))

    values = np.linspace(0.1, 0.9, 3 * WIDTH, dtype=np.float32)

    def work() -> float:
        run(values, rounds)
        return float(chains * WIDTH * rounds)

    return work


def _gpu_copy_rate(device: torch.device) -> float:
    source = torch.empty(_GPU_COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    rates = []
    for _ in range(5):
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        for _ in range(10):
            target.copy_(source)
        torch.cuda.synchronize(device)
        rates.append(10 * 2 * _GPU_COPY_BYTES / (time.perf_counter() - began))
    return max(rates)
