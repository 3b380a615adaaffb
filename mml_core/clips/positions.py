"""Which frames of a video a clip shows: starts of stacks, at random in training and fixed in evaluation.

A video with F frames has F rgb items and F - 1 flow fields or differences. An input frame is a stack of L neighbouring
items (rgb 1, the others `clip.stack`), so N items give P = max(1, N - L + 1) positions where a stack can start.
Everything here counts in positions. A video shorter than a stack has one position; reading past its end repeats its
last item. A clip has S segments of T input frames, each from its own equal part of the positions, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mml_core.clips.draws import ClipDraws
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig

Starts = NDArray[np.int64]


def start_positions(items: int, length: int) -> int:
    """Return P = max(1, N - L + 1): the number of stacks of `length` items among `items`."""
    return max(1, items - length + 1)


def segment_parts(positions: int, segments: int) -> list[tuple[int, int]]:
    """Return the first position and the number of positions of each of S equal parts of a video.

    Part s is floor(s P / S) up to, without, floor((s + 1) P / S), and one position where that is none (P < S).
    """
    ends = [part * positions // segments for part in range(segments + 1)]
    return [(first, max(1, end - first)) for first, end in pairwise(ends)]


def dense_stride(positions: int, frames: int, window: int) -> int:
    """Return tau, the distance of neighbouring input frames in dense sampling: window // T, less for short videos.

    The paper asks for tau < P / (T - 1) (MML, Appendix A); in integers that is tau <= (P - 1) // (T - 1). It never
    falls below 1, so that a video with fewer than T positions is read to its end, and then again or its last one.
    """
    stride = window // frames
    if frames > 1:
        stride = min(stride, (positions - 1) // (frames - 1))
    return max(1, stride)


def dense_starts(positions: int, frames: int, window: int) -> int:
    """Return P' = P - tau (T - 1), but at least 1: how many first frames dense sampling can choose from."""
    return max(1, positions - dense_stride(positions, frames, window) * (frames - 1))


def draw_uniform(positions: int, frames: int, rng: np.random.Generator) -> Starts:
    """Return T ascending positions, one drawn from each of T equal parts of the video (MML, section IV-A).

    Position i is floor((i + u_i) P / T) with u_i ~ U[0, 1). Shape (T,), values 0 to P - 1.
    """
    parts = np.arange(frames) + rng.random(frames)
    # The product can round up to P itself where u is next to 1.
    return np.minimum((parts * positions / frames).astype(np.int64), positions - 1)


def draw_dense(positions: int, frames: int, window: int, rng: np.random.Generator, *, loop: bool = False) -> Starts:
    """Return every tau-th position from a random first one, all first ones being as likely (MML, section IV-A).

    Shape (T,), values 0 to P - 1. Where P < T the last position repeats, or with `loop` all do in their order.
    """
    # floor(u P') and no integer drawn: with some positions fewer, the same u is nearly the same first frame
    first = np.int64(rng.random() * dense_starts(positions, frames, window))
    return _every_stride(first, positions, frames, window, loop)


def even_starts(positions: int, frames: int) -> Starts:
    """Return T positions from the first to the last, evenly spaced: floor(i (P - 1) / (T - 1)), or the first for T = 1.

    As linspace(0, P - 1, T) cut down to integers (Garcia et al. 2018, supplement, section 2, and their program),
    but exact. Shape (T,), values 0 to P - 1; with fewer positions than frames some occur several times.
    """
    return np.arange(frames, dtype=np.int64) * (positions - 1) // max(1, frames - 1)


def draw_distinct(positions: int, frames: int, rng: np.random.Generator) -> Starts:
    """Return T distinct positions in order, all sets of them being as likely (program of Garcia et al. 2018).

    They are those of the T smallest of P numbers ~ U[0, 1). Shape (T,), values 0 to P - 1; where P < T, `even_starts`.
    """
    if positions < frames:
        return even_starts(positions, frames)
    return np.sort(np.argsort(rng.random(positions), kind="stable")[:frames])


def draw_training_starts(
    items: Mapping[str, int], lengths: Mapping[str, int], clip: ClipConfig, draws: ClipDraws
) -> dict[str, Starts]:
    """Draw the frames of one training clip, for all modalities of a stage together (MML, section III-C).

    `items` holds N and `lengths` L for each modality. Positions i_1 … i_ST are drawn once, for the modality with the
    fewest; a modality with N items gets i_1 + ξ … i_ST + ξ, one ξ ~ unif{0 … N - n} for all its frames, n being the
    fewest items. With ξ = 0, which `clip.aligned` asks for, rgb frame t thus goes with the flow fields t … t + L - 1.
    Returns shape (S * T,) each.

    Of S segments, uniform sampling takes T positions from T equal parts of each segment's part, which together are
    S * T equal parts of the video; dense sampling takes neighbours from each segment's part (TSN; AdaMML). Even and
    random frames are S * T of the whole video.

    The numbers drawn depend on the clip alone. Positions are the same in all stages whose fewest are as many (any that
    reads flow), and those numbers applied to some positions more in a stage that reads rgb alone.
    """
    positions = min(start_positions(items[name], lengths[name]) for name in items)
    base = _draw_positions(positions, clip, draws.stream("frames"))
    if clip.aligned:
        return {name: base.copy() for name in items}
    fewest = min(items.values())
    return {name: base + draws.stream("shift", name).integers(items[name] - fewest + 1) for name in items}


def _draw_positions(positions: int, clip: ClipConfig, rng: np.random.Generator) -> Starts:
    """Return the positions of a clip's frames, (S * T,), in the modality with the fewest."""
    heads = rng.random() < 0.5  # tossed in any case, so that what follows does not depend on the kind of sampling
    frames = clip.segments * clip.frames
    match clip.sampling:
        case "both" if heads:
            return _draw_dense_parts(positions, clip, rng)
        case "dense":
            return _draw_dense_parts(positions, clip, rng)
        case "even_or_random" if not heads:
            return draw_distinct(positions, frames, rng)
        case "even" | "even_or_random":
            return even_starts(positions, frames)
        case "uniform" | "both":
            return draw_uniform(positions, frames, rng)


def _draw_dense_parts(positions: int, clip: ClipConfig, rng: np.random.Generator) -> Starts:
    loop = clip.short_videos == "loop"
    parts = segment_parts(positions, clip.segments)
    return np.concatenate(
        [first + draw_dense(count, clip.frames, clip.dense_window, rng, loop=loop) for first, count in parts]
    )


def uniform_views(positions: int, frames: int, views: int) -> Starts:
    """Return the frames of m uniform views: floor((n + i/m) P / T) for n = 0 … T - 1 (MML, Appendix A).

    Shape (m, T), values 0 to P - 1. Exact: the formula is evaluated in integers. The first view takes the start of each
    of T equal parts; the second one of two takes the middles, floor((n + 1/2) P / T), which the programs of TSM and MML
    take where there is one.
    """
    view, frame = np.arange(views, dtype=np.int64)[:, None], np.arange(frames, dtype=np.int64)
    return (frame * views + view) * positions // (frames * max(1, views))


def dense_views(
    positions: int, frames: int, window: int, views: int, *, ends: bool = False, loop: bool = False
) -> Starts:
    """Return the frames of k dense views: floor(i P'/k + n tau), or floor(P'/2 + n tau) for k = 1 (MML, Appendix A).

    With `ends` several views begin at i (P' - 1) / (k - 1), rounded, a half to the even one, so that the first has the
    first frame and the last one the last (SlowFast's loader for Charades). Shape (k, T), values 0 to P - 1.
    """
    choices = dense_starts(positions, frames, window)
    if views == 1:
        firsts = np.array([choices // 2])
    elif ends:
        firsts = np.array([round(Fraction(i * (choices - 1), views - 1)) for i in range(views)], dtype=np.int64)
    else:
        firsts = np.arange(views, dtype=np.int64) * choices // max(1, views)
    return _every_stride(firsts[:, None], positions, frames, window, loop)


def clip_count(positions: int, clip: ClipConfig, protocol: ProtocolConfig) -> int:
    """Return the number of clips K of a video with P positions.

    counted: k + m. all: the clips of T frames, tau apart, that follow each other without overlap and lie within the
    video, P // (T tau), but at least one (MARS, section 4.2; its code drops the rest in the same way).
    """
    if protocol.clips == "counted":
        return protocol.dense + protocol.uniform
    return max(1, positions // (clip.frames * dense_stride(positions, clip.frames, clip.dense_window)))


def evaluation_starts(
    items: Mapping[str, int], lengths: Mapping[str, int], clip: ClipConfig, protocol: ProtocolConfig
) -> dict[str, Starts]:
    """Return the frames of all clips of a video under `protocol`, (K, S * T) for each modality; nothing is random.

    `items` holds N and `lengths` L for each modality. counted: dense clips first, then uniform ones; each modality
    counts in its own positions ("T is a total number of frames for current modality", Appendix A). all: clip j shows
    the positions j T tau, (j T + 1) tau, … of the modality with the fewest, in all modalities, which therefore have as
    many clips of the same moments.
    """
    positions = {name: start_positions(items[name], lengths[name]) for name in items}
    if protocol.clips == "counted":
        return {name: _counted_starts(count, clip, protocol) for name, count in positions.items()}
    fewest = min(positions.values())
    stride = dense_stride(fewest, clip.frames, clip.dense_window)
    firsts = np.arange(clip_count(fewest, clip, protocol), dtype=np.int64) * clip.frames * stride
    starts = _every_stride(firsts[:, None], fewest, clip.frames, clip.dense_window, clip.short_videos == "loop")
    return dict.fromkeys(items, starts)


def _counted_starts(positions: int, clip: ClipConfig, protocol: ProtocolConfig) -> Starts:
    segments, loop = protocol.segments_of(clip), clip.short_videos == "loop"
    ends = protocol.dense_spacing == "ends"
    dense = [
        first + dense_views(count, clip.frames, clip.dense_window, protocol.dense, ends=ends, loop=loop)
        for first, count in segment_parts(positions, segments)
    ]
    match protocol.phase:
        case "start":
            uniform = uniform_views(positions, segments * clip.frames, protocol.uniform)
        case "middle":
            uniform = uniform_views(positions, segments * clip.frames, 2)[1:]
        case "ends":
            uniform = even_starts(positions, segments * clip.frames)[None]
    return np.concatenate([np.concatenate(dense, axis=1), uniform])


def _every_stride(first: Starts | np.int64, positions: int, frames: int, window: int, loop: bool) -> Starts:
    steps = first + np.arange(frames, dtype=np.int64) * dense_stride(positions, frames, window)
    return steps % positions if loop else np.minimum(steps, positions - 1)
