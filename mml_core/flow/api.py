"""Flow of whole clips: any lengths, any sizes, in batches that fit the memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from mml_core.flow.engine import PairEngine
from mml_core.flow.engines import choose_engine
from mml_core.flow.levels import SMALLEST_SIDE_PX

_GIB = 1024**3
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
    initial: flow (T - 1, 2, H, W) to start from; default: zero.
    memory_bytes: what a batch may take where the engine runs, beside clips and results; default: 1 GiB on a processor,
        80 % of what is free on a GPU. Where a GPU has less than it seemed, batches are halved, which is printed.

    Channel 0 is x, positive to the right, channel 1 y, positive downwards, in pixels. Pairs are independent: neither
    batches nor their order change a bit of the result.
    Raises ValueError for clips of another form and for a budget below what one pair takes.
    """
    engine = engine or choose_engine()
    for clip in clips:
        _check(clip)
    results = [clip.new_empty((len(clip) - 1, 2, *clip.shape[1:]), dtype=torch.float32) for clip in clips]
    for height, width in dict.fromkeys((clip.shape[1], clip.shape[2]) for clip in clips):
        same = [index for index, clip in enumerate(clips) if clip.shape[1:] == (height, width)]
        most = _most_pairs(engine, height, width, memory_bytes)
        waiting = [_Segment(index, 0, len(clips[index]) - 1) for index in same if len(clips[index]) > 1]
        while waiting:
            batch, rest = _split(waiting, most)
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


def _most_pairs(engine: PairEngine, height: int, width: int, memory_bytes: int | None) -> int:
    if memory_bytes is None:
        free = torch.cuda.mem_get_info(engine.device)[0] if engine.device.type == "cuda" else None
        memory_bytes = int(free * _GPU_SHARE) if free is not None else _GIB
    need = engine.working_bytes(height, width)
    if need > memory_bytes:
        raise ValueError(
            f"a pair of {width} x {height} frames takes {need / 1e6:.1f} MB by engine {engine.name}, "
            f"more than the {memory_bytes / 1e6:.1f} MB allowed"
        )
    return memory_bytes // need


def _split(waiting: list[_Segment], most: int) -> tuple[list[_Segment], list[_Segment]]:
    """Return the first `most` pairs of `waiting`, and what is left."""
    batch: list[_Segment] = []
    for position, segment in enumerate(waiting):
        room = most - _count(batch)
        if segment.stop - segment.first > room:
            cut = segment.first + room
            if room:
                batch.append(segment._replace(stop=cut))
            return batch, [segment._replace(first=cut), *waiting[position + 1 :]]
        batch.append(segment)
    return batch, []


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
