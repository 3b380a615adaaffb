"""How the kernels cut up their work, and the constants that they are compiled with."""

from __future__ import annotations

from typing import NamedTuple

import triton

from mml_core.config.flow import Tvl1
from mml_core.flow.torch import primitives

#: Tiles summed at a time at least, so that frames of most sizes share one kernel.
_SUMMED = 64


class Tuning(NamedTuple):
    """Numbers that results depend on by rounding only; benchmarks/flow/kernels.py compares others."""

    block: int = 4  # iterations from one reading of the fields to one writing
    tile_rows: int = 64  # of a tile of `iterate` at most
    warps: int = 1  # of a program of `iterate`, each with a tile of its own
    unroll: int = 1  # rows of `iterate`; 2 takes a tenth fewer instructions, but registers that spill
    prefetch: bool = False  # read rows of `iterate` one ahead: hides memory's latency, takes some 20 registers
    registers: int = 144  # of a lane of `iterate` at most: 14 warps a multiprocessor
    median_rows: int = 32
    median_warps: int = 4
    linearise_px: int = 128
    linearise_parts: int = 16  # programs a pair
    ticks: int = 16  # sent between two reports of the pairs that are left
    slot_px: int = 1 << 25  # pixels of the pairs in work side by side: some 380 of 340 x 256


class Constants(NamedTuple):
    """Keyword arguments of each kernel: its constants, then how it is compiled."""

    linearise: dict[str, object]
    smooth: dict[str, object]
    iterate: dict[str, object]
    advance: dict[str, object]


def constants(settings: Tvl1, tuning: Tuning, most_tiles: int) -> Constants:
    """Return what the kernels are launched with; most_tiles: of a level.

    Multiplications and additions are fused where the compiler can.
    """
    like_cuda = settings.variant == "opencv-cuda"
    return Constants(
        linearise={
            "CUBIC": primitives.CATMULL_ROM_CUBIC if like_cuda else primitives.OPENCV_CUBIC,
            "ZERO_OUTSIDE": not like_cuda,
            "BLOCK_PX": tuning.linearise_px,
            "num_warps": 4,
            "enable_fp_fusion": True,
        },
        smooth={
            "SIDE": settings.median_px,
            "ROWS": tuning.median_rows,
            "WARPS": tuning.median_warps,
            "num_warps": tuning.median_warps,
            "enable_fp_fusion": True,
        },
        iterate={
            "BLOCK": tuning.block,
            "WARPS": tuning.warps,
            "UNROLL": tuning.unroll,
            "PREFETCH": tuning.prefetch,
            "num_warps": tuning.warps,
            "num_stages": 1,
            "maxnreg": tuning.registers,
            "enable_fp_fusion": True,
        },
        advance={
            "WARPS": settings.warps,
            "INNER": settings.inner_iterations,
            "LIMIT": settings.inner_iterations * settings.outer_iterations,
            "HAS_MEDIAN": settings.median_px > 1,
            "LAZY": like_cuda,
            "BLOCK": tuning.block,
            "SUMMED": max(_SUMMED, triton.next_power_of_2(most_tiles)),
            "num_warps": 1,
            "enable_fp_fusion": True,
        },
    )
