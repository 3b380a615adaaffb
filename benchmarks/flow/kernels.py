"""The kernels of the Triton engine: what they take of an H200, the speed that follows from it at most, and what it is.

For the shipped tuning and for others: registers, spilled bytes and instructions of `iterate`, compiled for compute
capability 9.0, which needs no GPU. From them frame pairs a second are *modelled*: the mean pair (ITERATIONS, below),
every kernel at its own bound of memory or of issue slots, one kernel after another, nothing lost to waiting: an upper
bound, not a forecast. With a GPU the same tunings are *measured*, end to end, on synthetic clips of four motions.
Prints a row per tuning and size and appends it to benchmarks/results/flow_kernels.csv.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import triton

from benchmarks.flow.clips import Clip, joined, synthetic_clips
from mml_core.config.flow import Tvl1
from mml_core.flow.levels import level_sizes
from mml_core.flow.triton.compile import Resources, compile_kernel, kernels
from mml_core.flow.triton.engine import TritonTvl1
from mml_core.flow.triton.layout import Level, make_level
from mml_core.flow.triton.strips import STRIP_PX
from mml_core.flow.triton.tuning import Tuning, constants

RESULTS = Path(__file__).parents[1] / "results" / "flow_kernels.csv"
SIZES = ((256, 340), (224, 224))
TUNINGS = (
    Tuning(),
    Tuning(block=1),
    Tuning(block=2),
    Tuning(block=3),
    Tuning(tile_rows=32),
    Tuning(tile_rows=128),
    Tuning(warps=2),
    Tuning(warps=4),
    Tuning(unroll=2, registers=168),
    Tuning(unroll=2, registers=255),
    Tuning(prefetch=True, registers=168),
    Tuning(prefetch=True, registers=168, tile_rows=32),
    Tuning(block=5, registers=184),
    Tuning(block=5, registers=255),
    Tuning(block=5, unroll=2, registers=255),
    Tuning(block=6, registers=200),
    Tuning(block=6, tile_rows=128, registers=200),
)

#: An H200: reading and writing memory, bytes a second; lanes of all multiprocessors times clock.
MEMORY_RATE = 4.3e12
SLOT_RATE = 132 * 128 * 1.83e9
WARPS_REGISTERS = 65536 // 32  # registers of a lane, all warps of a multiprocessor together
#: Inner iterations a warp, mean of 32 pairs of eight real clips, finest level first (at 340 x 256, nearly so at 224).
ITERATIONS = (
    (53, 24, 19, 18, 18),
    (52, 23, 18, 18, 18),
    (51, 23, 19, 18, 18),
    (50, 27, 22, 21, 20),
    (57, 46, 31, 26, 24),
)
MEDIANS_A_WARP = 1.3
#: Bytes a pixel of a warp's beginning, and of a median of both components.
LINEARISE_BYTES = 16 + 4 + 8 + 12
MEDIAN_BYTES = 16
BLOCK_BYTES = 4 * (9 + 6)
#: Slots that an instruction takes, where it is not one: units that serve a warp in more than a cycle of its scheduler.
SLOW = {"MUFU": 8, "SHFL": 4, "FMNMX": 2}


class Row(NamedTuple):
    """A row of the table; what was not measured is empty."""

    date: str
    device: str
    versions: str
    size: str
    block: int
    tile_rows: int
    warps: int
    unroll: int
    prefetch: bool
    registers_allowed: int
    registers: int
    spilled_bytes: int
    shared_bytes: int
    warps_per_multiprocessor: int
    slots_per_px_iteration: float  # of those computed, halo included
    slots_per_useful_px_iteration: float  # on the finest level
    bytes_per_px_iteration: float
    modelled_memory_gpx_iterations_per_s: float
    modelled_issue_gpx_iterations_per_s: float
    modelled_pairs_per_s: float
    measured_pairs_per_s: float | str
    measured_gpx_iterations_per_s: float | str


def _slots(resources: Resources) -> float:
    """Return issue slots of a turn of the largest loop: at least those of the unit that is asked most."""
    loop = max(resources.loops, key=lambda loop: loop.total())
    return max(loop.total(), *(loop[name] * slots for name, slots in SLOW.items()))


def _useful(level: Level, block: int) -> float:
    """Return the share of the computed columns and rows that are in the image and not in the halo of a tile."""
    computed = level.tiles * STRIP_PX.value * (level.rows + 2 * block)
    return level.height * level.width / computed


def _seconds_a_pair(
    levels: list[Level], block: int, slots: float, slots_median: float, slots_linearise: float
) -> float:
    """Return the modelled time of the mean pair.

    A warp of n iterations takes n / block blocks, and where n is no multiple a block in vain and its repetition.
    """
    total = 0.0
    for level, iterations in zip(levels, ITERATIONS, strict=True):
        area = level.height * level.width
        warps = len(iterations)
        blocks = sum(iterations) / block + warps * 1.5 * (block - 1) / block
        steps = sum(iterations) + warps * (block - 1)
        total += area * max(blocks * BLOCK_BYTES / MEMORY_RATE, steps * slots / _useful(level, block) / SLOT_RATE)
        total += area * warps * MEDIANS_A_WARP * max(MEDIAN_BYTES / MEMORY_RATE, 2 * slots_median / SLOT_RATE)
        total += area * warps * max(LINEARISE_BYTES / MEMORY_RATE, slots_linearise / SLOT_RATE)
    return total


def _rows(tuning: Tuning, about: tuple[str, str, str], batch: int) -> Iterator[Row]:
    compiled = constants(Tvl1(), tuning, most_tiles=24)
    iterate, median, linearise = (
        compile_kernel(kernels()[name], compiled._asdict()[name]) for name in ("iterate", "smooth", "linearise")
    )
    slots = _slots(iterate) / (2 * tuning.unroll * tuning.block)
    slots_median = _slots(median) / 2 * (tuning.median_rows + 4) / tuning.median_rows * STRIP_PX.value / 60
    for height, width in SIZES:
        settings = Tvl1()
        sizes = level_sizes(height, width, settings.scales, settings.scale_step)
        levels = [make_level(*size, tuning.block, tuning.tile_rows) for size in sizes]
        useful = slots / _useful(levels[0], tuning.block)
        rate, work = _measure(tuning, height, width, batch) if torch.cuda.is_available() else ("", "")
        yield Row(
            *about,
            f"{width}x{height}",
            *(tuning.block, tuning.tile_rows, tuning.warps, tuning.unroll, tuning.prefetch, tuning.registers),
            *iterate[:3],
            WARPS_REGISTERS // (-(-iterate.registers // 8) * 8),
            round(slots, 1),
            round(useful, 1),
            BLOCK_BYTES / tuning.block,
            round(MEMORY_RATE * tuning.block / BLOCK_BYTES / 1e9, 1),
            round(SLOT_RATE / useful / 1e9, 1),
            round(1 / _seconds_a_pair(levels, tuning.block, slots, slots_median, _slots(linearise))),
            *(rate, work),
        )


def _clips(height: int, width: int, batch: int) -> Clip:
    clips = synthetic_clips(height, width, 9)
    return joined("all", clips * (-(-batch // sum(len(clip.pairs) for clip in clips))))


def _measure(tuning: Tuning, height: int, width: int, batch: int) -> tuple[float, float]:
    """Return pairs and 1e9 pixel-iterations a second, the best of three times, frames and flow on the GPU."""
    engine, clip = TritonTvl1(Tvl1(), tuning=tuning), _clips(height, width, batch)
    frames = clip.frames.cuda()
    solution = engine.solve(frames, clip.pairs)
    sizes = level_sizes(height, width, 5, 0.8)
    work = sum(
        int(count) * h * w for count, (h, w) in zip(solution.iterations.sum((0, 2)).tolist(), sizes, strict=True)
    )
    times = []
    for _ in range(3):
        torch.cuda.synchronize()
        began = time.perf_counter()
        engine(frames, clip.pairs)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return round(len(clip.pairs) / min(times), 1), round(work / min(times) / 1e9, 1)


def _print_shares(height: int, width: int, batch: int) -> None:
    """Print the time in each kernel of the shipped tuning."""
    engine, clip = TritonTvl1(Tvl1()), _clips(height, width, batch)
    frames = clip.frames.cuda()
    engine(frames, clip.pairs)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        engine(frames, clip.pairs)
    print(profile.key_averages().table(sort_by="cuda_time_total", row_limit=12, max_name_column_width=40))


def main() -> None:
    """Model, measure where there is a GPU, print and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=512, help="pairs side by side, on a GPU")
    parser.add_argument("--shipped", action="store_true", help="only the shipped tuning")
    options = parser.parse_args()
    has_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if has_gpu else f"modelled, not measured ({platform.machine()}, no GPU)"
    versions = f"torch {torch.__version__}, triton {triton.__version__}"
    about = (datetime.date.today().isoformat(), device, versions)
    rows = []
    for tuning in TUNINGS[:1] if options.shipped else TUNINGS:
        for row in _rows(tuning, about, options.batch):
            rows.append(row)
            print(
                f"{row.size}  block {row.block} rows {row.tile_rows:3} warps {row.warps} unroll {row.unroll}"
                f"{', prefetch' * row.prefetch}: "
                f"{row.registers} registers, {row.spilled_bytes} B spilled, {row.shared_bytes} B shared, "
                f"{row.warps_per_multiprocessor} warps, {row.slots_per_useful_px_iteration} slots, "
                f"{row.bytes_per_px_iteration:.1f} B a pixel-iteration; modelled, not measured: at most "
                f"{row.modelled_pairs_per_s:.0f} pairs/s; measured: {row.measured_pairs_per_s or 'not yet'}",
                flush=True,
            )
    if has_gpu:
        _print_shares(*SIZES[0], options.batch)
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([Row._fields] * new + rows)


if __name__ == "__main__":
    main()
