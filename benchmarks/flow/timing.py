"""Timing engines in turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from benchmarks.flow.clips import Clip
from benchmarks.flow.entrants import Entrant
from mml_core.config.flow import Tvl1
from mml_core.flow.engine import pixel_iterations
from mml_core.flow.levels import level_sizes

#: Name of the clip that is all clips.
ALL = "all"


class Timing(NamedTuple):
    """Of an entrant on the pairs of a clip; px_iterations is 0 where the algorithm has none."""

    entrant: Entrant
    clip: str
    pairs: int
    seconds: float
    px_iterations: int


def time_in_turns(
    entrants: Sequence[Entrant], clips: Sequence[Clip], device: torch.device, repetitions: int
) -> list[Timing]:
    """Time every entrant on the neighbouring frames of every clip, taking turns; print a line a clip.

    What one thread does is timed by the processor's clock, which other processes do not disturb.
    """
    timings = []
    for clip in clips:
        frames, pairs = clip.frames.to(device), clip.pairs
        sizes = level_sizes(*frames.shape[1:], Tvl1().scales, Tvl1().scale_step)
        best, work = [float("inf")] * len(entrants), [0] * len(entrants)
        for _ in range(repetitions):
            for number, entrant in enumerate(entrants):
                clock = time.process_time if entrant.threads == 1 else time.perf_counter
                _wait(device)
                began = clock()
                iterations = entrant.run(frames, pairs)
                _wait(device)
                best[number] = min(best[number], clock() - began)
                work[number] = 0 if iterations is None else int(pixel_iterations(iterations, sizes).sum())
        # OpenCV does not say how often it iterated: as often as the PyTorch engine, whose counts differ by 1 or 2
        counts = {entrant.engine: count for entrant, count in zip(entrants, work, strict=True) if count}
        common = counts.get("torch", next(iter(counts.values()), 0))
        speeds = [f"{entrant.engine} {len(pairs) / best[number]:.3g}" for number, entrant in enumerate(entrants)]
        print(
            f"  {clip.name}, {len(pairs)} pairs of {sizes[0][1]} x {sizes[0][0]}, pairs/s: {', '.join(speeds)}",
            flush=True,
        )
        for entrant, seconds, count in zip(entrants, best, work, strict=True):
            timings.append(
                Timing(entrant, clip.name, len(pairs), seconds, common if entrant.engine == "opencv" else count)
            )
    return timings


def summed(timings: Sequence[Timing]) -> list[Timing]:
    """Return, for each entrant, what all clips took one after another."""
    groups: dict[Entrant, list[Timing]] = {}
    for timing in timings:
        groups.setdefault(timing.entrant, []).append(timing)
    return [
        Timing(entrant, ALL, sum(t.pairs for t in own), sum(t.seconds for t in own), sum(t.px_iterations for t in own))
        for entrant, own in groups.items()
    ]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
