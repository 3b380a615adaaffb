"""What each pair of a batch does next: its control record, and the kernel that moves it on.

A pair goes through the levels from coarse to fine and through the warps of each by itself, whatever the others do. A
*tick* of the engine is one launch of each kernel: `linearise` (pairs that begin a warp), `smooth` (pairs whose median
is due), `iterate` (every pair that is not done: a block of up to BLOCK iterations), then `advance`, here, which applies
the stop rule to the changes that the iterations of the block made. If the rule was met before the block's last
iteration, the block is done again with so many iterations as it takes, from its source, which is untouched: pairs stop
exactly where they would if they were looked at after every iteration.
"""

from __future__ import annotations

import triton
import triton.language as tl

#: int32 values of a pair's record, and what they are.
RECORD = tl.constexpr(16)
LEVEL = tl.constexpr(0)  # 0 is the finest, below it the pair is done
WARP = tl.constexpr(1)
COUNT = tl.constexpr(2)  # iterations of this warp so far
STEPS = tl.constexpr(3)  # iterations of the block that comes
LAST = tl.constexpr(4)  # 1: with the block that comes the warp is known to end
U = tl.constexpr(5)  # which of the two buffers of u the block reads
P = tl.constexpr(6)  # which of the two buffers of p the block reads
LINEARISE = tl.constexpr(7)  # 1: a warp begins with this tick
ENLARGE = tl.constexpr(8)  # 1: and with it a level, whose u is that of the coarser level, enlarged
SMOOTH = tl.constexpr(9)  # 1: u goes through the median first, from the other buffer into this one

#: int32 values of a level's entry in the table of levels, and what they are.
ENTRY = tl.constexpr(8)
HEIGHT = tl.constexpr(0)
WIDTH = tl.constexpr(1)
PITCH = tl.constexpr(2)  # pixels from a row to the next, in units of ALIGNMENT
STRIPS = tl.constexpr(3)  # tiles side by side
TILES = tl.constexpr(4)
ROWS = tl.constexpr(5)  # of a tile
PIXELS = tl.constexpr(6)  # where the level begins in a frame's pyramid
SAMPLES = tl.constexpr(7)  # where its columns begin in the table of samples for enlarging; rows follow

#: Rows begin at multiples of so many pixels: what Triton must know to move two columns at a time.
ALIGNMENT = tl.constexpr(16)


# Compiled once for all numbers of levels and tiles: Triton would make a kernel of its own for 1 and multiples of 16.
@triton.jit(do_not_specialize=["count_levels", "most_tiles"])
def advance(
    control: tl.tensor,
    looked_at: tl.tensor,
    counts: tl.tensor,
    changes: tl.tensor,
    thresholds: tl.tensor,
    levels: tl.tensor,
    order: tl.tensor,
    count_levels: tl.tensor,
    most_tiles: tl.tensor,
    WARPS: tl.constexpr,
    INNER: tl.constexpr,
    LIMIT: tl.constexpr,
    HAS_MEDIAN: tl.constexpr,
    LAZY: tl.constexpr,
    BLOCK: tl.constexpr,
    SUMMED: tl.constexpr,
) -> None:
    """Move a pair on, given the `changes` (pairs, BLOCK, most_tiles) of its last block.

    control: records, int32 (pairs, RECORD). looked_at: float32 (pairs,), see `_looks`. counts: iterations of each warp,
    int32 (pairs, levels, WARPS), written here. thresholds: float32 (levels,). levels: int32 (levels, ENTRY).
    order: int32, which pair each program is for. INNER: iterations between medians. LIMIT: iterations of a warp at
    most. LAZY: the stop rule is that of opencv-cuda. SUMMED: a power of two, no less than most_tiles.
    """
    pair = tl.load(order + tl.program_id(0))
    record = control + pair * RECORD
    level = tl.load(record + LEVEL)
    if level < 0:
        return
    steps = tl.load(record + STEPS)
    count = tl.load(record + COUNT)
    last = tl.load(record + LAST)
    looked = tl.load(looked_at + pair)
    threshold = tl.load(thresholds + level)
    tile = tl.arange(0, SUMMED)
    counted = tile < tl.load(levels + level * ENTRY + TILES)
    stop_after = 0
    for step in tl.static_range(BLOCK):
        change = tl.sum(tl.load(changes + (pair * BLOCK + step) * most_tiles + tile, mask=counted, other=0.0))
        goes_on = (step < steps) & (stop_after == 0) & (last == 0)
        looks = goes_on
        if LAZY:
            looks = goes_on & ((count + step) % 2 == 1) & (looked < threshold) & (threshold > 0)
        stop_after = tl.where(looks & (change <= threshold), step + 1, stop_after)
        looked = tl.where(goes_on, tl.where(looks, change, looked - threshold), looked)
    if (stop_after > 0) & (stop_after < steps):
        tl.store(record + STEPS, stop_after)
        tl.store(record + LAST, 1)
        tl.store(record + LINEARISE, 0)
        tl.store(record + ENLARGE, 0)
        tl.store(record + SMOOTH, 0)
    else:
        count += steps
        warp = tl.load(record + WARP)
        ends = (last == 1) | (stop_after > 0) | (count >= LIMIT)
        if ends:
            tl.store(counts + (pair * count_levels + level) * WARPS + warp, count)
        level_ends = ends & (warp == WARPS - 1)
        level = tl.where(level_ends, level - 1, level)
        count = tl.where(ends, 0, count)
        smooth = (level >= 0) & (count % INNER == 0) & HAS_MEDIAN
        enlarge = (level >= 0) & level_ends
        flips = 1 + enlarge.to(tl.int32) + smooth.to(tl.int32)
        left = LIMIT - count
        if HAS_MEDIAN:
            left = tl.minimum(left, INNER - count % INNER)
        tl.store(record + LEVEL, level)
        tl.store(record + WARP, tl.where(ends, tl.where(level_ends, 0, warp + 1), warp))
        tl.store(record + COUNT, count)
        tl.store(record + STEPS, tl.minimum(left, BLOCK))
        tl.store(record + LAST, 0)
        tl.store(record + U, (tl.load(record + U) + flips) % 2)
        tl.store(record + P, 1 - tl.load(record + P))
        tl.store(record + LINEARISE, ((level >= 0) & ends).to(tl.int32))
        tl.store(record + ENLARGE, enlarge.to(tl.int32))
        tl.store(record + SMOOTH, smooth.to(tl.int32))
        tl.store(looked_at + pair, tl.where(ends, 0.0, looked))
