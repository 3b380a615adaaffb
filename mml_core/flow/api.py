"""Flow of whole clips: any lengths, any sizes, in batches that fit the memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from mml_core.errors import InputError
from mml_core.flow.engine import PairEngine
from mml_core.flow.engines import choose_engine
from mml_core.flow.levels import SMALLEST_SIDE_PX

_GIB = 1024**3
#: Whether a batch of so many pairs and frames may be computed at a time.
_Fits = Callable[[int, int], bool]
#: Share of a GPU's free memory that a batch may take where no budget is given: the rest is fragmentation.
_GPU_SHARE = 0.8


class _Segment(NamedTuple):
    """The pairs (t, t + 1) of a clip with `first` <= t < `stop`."""

    clip: int
    first: int
    stop: int


def optical_flow(
    clips: Sequence[torch.Tensor],
    engine: PairEngine | None = None,
    *,
    initial: Sequence[torch.Tensor] | None = None,
    memory_bytes: int | None = None,
) -> list[torch.Tensor]:
    """Return the flow between neighbouring frames of each clip, float32 (T - 1, 2, H, W), on the clip's device.

    clips: grey frames (T, H, W), T >= 1, both sides at least 16 pixels; uint8 levels, or floating point 0 to 1.
    engine: default: the fastest TV-L1 that can run here (`choose_engine`).
    initial: flow of each clip (T - 1, 2, H, W) to start from, finite; default: zero.
    memory_bytes: what a batch may take where the engine runs, beside clips and results; default: 80 % of what is free
        on a GPU, on a processor 1 GiB, or what one pair takes if that is more. Where a GPU has less than it seemed,
        batches are halved, which is printed.

    Channel 0 is x, positive to the right, channel 1 y, positive downwards, in pixels. Pairs are independent: neither
    batches nor their order change a bit of the result.
    Raises ValueError for clips or initial flow of another form and for a `memory_bytes` below what one pair takes,
    InputError where a GPU has not that much free.
    """
    engine = engine or choose_engine()
    for clip in clips:
        _check(clip)
    if initial is not None:
        _check_initial(initial, clips)
    results = [clip.new_empty((len(clip) - 1, 2, *clip.shape[1:]), dtype=torch.float32) for clip in clips]
    for height, width in dict.fromkeys((clip.shape[1], clip.shape[2]) for clip in clips):
        same = [index for index, clip in enumerate(clips) if clip.shape[1:] == (height, width)]
        budget = _budget(engine, height, width, memory_bytes)
        most = sum(len(clips[index]) for index in same)
        waiting = [_Segment(index, 0, len(clips[index]) - 1) for index in same if len(clips[index]) > 1]
        while waiting:
            batch, rest = _split(waiting, _limits(engine, height, width, budget, most))
            flow = _solve(engine, clips, batch, initial)
            if flow is None:
                most = max(1, _count(batch) // 2)
                torch.cuda.empty_cache()
                print(f"flow: GPU memory is short, going on with batches of {most} pairs", flush=True)
                continue
            waiting = rest
            for part, fields in zip(batch, flow.split([part.stop - part.first for part in batch]), strict=True):
                results[part.clip][part.first : part.stop] = fields
    return results


def _check(clip: torch.Tensor) -> None:
    if clip.ndim != 3 or len(clip) < 1 or min(clip.shape[1:]) < SMALLEST_SIDE_PX:
        raise ValueError(f"expected clips (T, H, W) with T >= 1 and H, W >= 16, got {tuple(clip.shape)}")
    if clip.dtype != torch.uint8 and not clip.is_floating_point():
        raise ValueError(f"expected grey levels as uint8 or floating point, got {clip.dtype}")
    if clip.is_floating_point() and not (clip.amin() >= 0 and clip.amax() <= 1):
        raise ValueError(f"expected floating point grey levels from 0 to 1, got {clip.amin():.4g} to {clip.amax():.4g}")


def _check_initial(initial: Sequence[torch.Tensor], clips: Sequence[torch.Tensor]) -> None:
    if len(initial) != len(clips):
        raise ValueError(f"expected an initial flow for each of {len(clips)} clips, got {len(initial)}")
    for index, (flow, clip) in enumerate(zip(initial, clips, strict=True)):
        shape = (len(clip) - 1, 2, *clip.shape[1:])
        if tuple(flow.shape) != shape:
            raise ValueError(f"expected initial flow {shape} for clip {index}, got {tuple(flow.shape)}")
        if not flow.isfinite().all():
            raise ValueError(f"the initial flow of clip {index} is not finite")


def _budget(engine: PairEngine, height: int, width: int, memory_bytes: int | None) -> int:
    """Return what a batch may take, in bytes: enough for one pair."""
    need = engine.working_bytes(height, width, 1, 2)
    if memory_bytes is None and engine.device.type != "cuda":
        return max(_GIB, need)
    allowed = int(_gpu_free(engine.device) * _GPU_SHARE) if memory_bytes is None else memory_bytes
    if need > allowed:
        message = (
            f"a pair of {width} x {height} frames takes {need / 1e6:.1f} MB by engine {engine.name}, "
            f"more than the {allowed / 1e6:.1f} MB "
        )
        if memory_bytes is None:
            hint = "does another program use this GPU? Otherwise take smaller frames, or compute flow on a processor"
            raise InputError(f"{message}that the GPU has free for it", hint=hint)
        raise ValueError(f"{message}allowed")
    return allowed


def _gpu_free(device: torch.device) -> int:
    """Return the bytes that torch can give out: what no process has, and what torch keeps for later."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def _limits(engine: PairEngine, height: int, width: int, budget: int, most: int) -> _Fits:
    """Return the limits of a batch: `budget` bytes and `most` pairs, but one pair always fits."""
    return lambda pairs, frames: (
        pairs == 1 or (pairs <= most and engine.working_bytes(height, width, pairs, frames) <= budget)
    )


def _split(waiting: list[_Segment], fits: _Fits) -> tuple[list[_Segment], list[_Segment]]:
    """Return as many of the first pairs of `waiting` as fit, and what is left; k pairs of a clip have k + 1 frames."""
    batch: list[_Segment] = []
    pairs = frames = 0
    for position, segment in enumerate(waiting):
        length = segment.stop - segment.first
        room = _room(fits, pairs, frames, length)
        cut = segment.first + room
        if room:
            batch.append(segment._replace(stop=cut))
        if room < length:
            return batch, [segment._replace(first=cut), *waiting[position + 1 :]]
        pairs, frames = pairs + room, frames + room + 1
    return batch, []


def _room(fits: _Fits, pairs: int, frames: int, length: int) -> int:
    """Return how many of a clip's `length` pairs fit beside `pairs` of `frames` frames."""
    return bisect_left(range(1, length + 1), True, key=lambda more: not fits(pairs + more, frames + more + 1))


def _count(batch: Sequence[_Segment]) -> int:
    return sum(part.stop - part.first for part in batch)


def _solve(
    engine: PairEngine, clips: Sequence[torch.Tensor], batch: list[_Segment], initial: Sequence[torch.Tensor] | None
) -> torch.Tensor | None:
    """Return the flow of `batch`, or None where a GPU has no memory for it and a smaller one may do."""
    try:
        frames = torch.cat([_levels(clips[clip][first : stop + 1], engine.device) for clip, first, stop in batch])
        start = None
        if initial is not None:
            start = torch.cat(
                [initial[clip][first:stop].to(engine.device, torch.float32) for clip, first, stop in batch]
            )
        return engine(frames, _pairs(batch), start)
    except torch.OutOfMemoryError:
        if _count(batch) == 1:
            raise
        return None  # the caller goes on outside this block, where the failed attempt's tensors are free


def _levels(frames: torch.Tensor, device: torch.device) -> torch.Tensor:
    frames = frames.to(device)
    return frames.float() * 255 if frames.is_floating_point() else frames


def _pairs(batch: list[_Segment]) -> torch.Tensor:
    """Return the indices (P, 2) of the pairs among the frames of all segments, end to end."""
    first, offset = [], 0
    for _, start, stop in batch:
        first.append(torch.arange(stop - start) + offset)
        offset += stop - start + 1
    index = torch.cat(first)
    return torch.stack([index, index + 1], 1)
