"""The command `mml flow`: the flow of a video, block by block, so that memory does not grow with its length.

Videos may come from anywhere: only decoders in processes of their own read them (`mml_core.video.child`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from fractions import Fraction
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mml_core import __version__
from mml_core.config.base import canonical_json
from mml_core.config.dataset import Limits
from mml_core.config.flow import FlowAlgorithm, MotionVectors, Tvl1
from mml_core.errors import InputError
from mml_core.flow.codec.motion_vectors import motion_vectors
from mml_core.flow.engines import choose_engine
from mml_core.flow.faults import gpu_faults_told
from mml_core.flow.levels import SMALLEST_SIDE_PX
from mml_core.flow_command.computation import Computation, by_codec, by_engine
from mml_core.flow_command.files import WriteFields
from mml_core.flow_command.options import MOST_PX, FlowOptions, check_files, uses_gpu
from mml_core.flow_command.outputs import check_output, open_output
from mml_core.runtime.compute import prepare_compute
from mml_core.runtime.parallel import progress
from mml_core.video.decode import DecodedVideo
from mml_core.video.messages import Stated
from mml_core.video.sources import VideoError

#: Pairs in memory at a time: so many, or fewer where frames, fields and pictures of so many take more bytes than this.
_BLOCK_PAIRS = 64
_BLOCK_BYTES = 1 << 29
_BYTES_PER_PIXEL = 24
#: Any length, any duration: a person watches.
_LIMITS = Limits(max_frames=1 << 40, decode_timeout_sec=threading.TIMEOUT_MAX)
_DEFAULT_RATE = Fraction(25)
_NAMES = {"tvl1": "TV-L1", "dis": "DIS", "farneback": "Farnebäck"}

Frames = NDArray[np.uint8]


def flow_of_video(options: FlowOptions) -> None:
    """Write the flow of a video, and say how fast it was.

    The video is decoded in a process of its own. However this ends, that has ended too, and outputs are complete or not
    there. Raises InputError for what the user can mend: options, the video, outputs that cannot be written, memory; and
    for a GPU that fails.
    """
    check_files(options.video, options.out)
    for path in options.out:
        check_output(path)
    device = options.device if uses_gpu(options) else "cpu"
    with (
        prepare_compute(options.threads, device) as compute,
        gpu_faults_told("--device cpu"),
        ExitStack() as opened,
    ):
        try:
            _write_flow(options, compute.device, opened)
        except VideoError as error:
            raise InputError(str(error), file=options.video) from error
    print("\n".join(f"wrote {path}" for path in options.out), flush=True)


def _write_flow(options: FlowOptions, device: torch.device, opened: ExitStack) -> None:
    """Write the flow; `opened` ends decoders and completes outputs."""
    most, least = options.short_side_px or MOST_PX, options.short_side_px or SMALLEST_SIDE_PX
    video = DecodedVideo(options.video, most, _LIMITS, least_px=least, end=_end(options))
    frames = opened.enter_context(closing(iter(video)))
    # to the very end, where the decoder tells whether the frames are whole
    blocks = overlapping_blocks(islice(frames, options.start, None))
    first = next(blocks, None)
    if first is None:
        raise VideoError(f"has no two frames from frame {options.start} on")
    computation = _computation(options, device, first, opened)
    rate, about = _frame_rate(video.stated), _about(options, video.stated, first, computation)
    write = [opened.enter_context(open_output(path, about, rate, options.max_px)) for path in options.out]
    with progress(_pairs(options, video.stated), options.video.name, "pairs") as bar:
        speed = _compute(chain([first], blocks), computation, write, bar)
    _report(speed, first, options.algorithm, computation)


def _end(options: FlowOptions) -> int | None:
    """Return the first frame that is not looked at any more; None where there is none."""
    return None if options.frames is None else options.start + options.frames


def overlapping_blocks(frames: Iterable[Frames], most_pairs: int | None = None) -> Iterator[Frames]:
    """Yield `frames`, each (H, W, 3), in blocks (N + 1, H, W, 3) of N >= 1 pairs; a block's last frame starts the next.

    most_pairs: of a block; default: as many as `_BLOCK_BYTES` hold, `_BLOCK_PAIRS` at most.
    """
    block: list[Frames] = []
    for frame in frames:
        block.append(frame)
        most = most_pairs or max(1, min(_BLOCK_PAIRS, _BLOCK_BYTES // (frame.size // 3 * _BYTES_PER_PIXEL)))
        if len(block) == most + 1:
            yield np.stack(block)
            block = [frame]
    if len(block) > 1:
        yield np.stack(block)


class _Speed(NamedTuple):
    pairs: int
    flow_sec: float
    total_sec: float


def _compute(blocks: Iterable[Frames], computation: Computation, outputs: Sequence[WriteFields], bar: tqdm) -> _Speed:
    """Hand the flow of `blocks` to the outputs."""
    pairs, flow_sec, began = 0, 0.0, time.perf_counter()
    for block in blocks:
        start = time.perf_counter()
        flow = computation.flow_of(block, bar.update)
        flow_sec += time.perf_counter() - start
        for write in outputs:
            write(block[:-1], flow)
        pairs += len(flow)
    computation.check()
    return _Speed(pairs, flow_sec, time.perf_counter() - began)


def _computation(options: FlowOptions, device: torch.device, block: Frames, opened: ExitStack) -> Computation:
    """Return what computes the flow of frames like those of `block`, and say what it is."""
    height, width = block.shape[1:3]
    if isinstance(options.algorithm, MotionVectors):
        print("flow: motion vectors, by the video's codec", flush=True)
        fields = opened.enter_context(closing(motion_vectors(options.video, height, width, _LIMITS, end=_end(options))))
        return by_codec(islice(fields, options.start, None))
    engine = choose_engine(options.algorithm, options.engine, device=device, threads=options.threads)
    cuda = engine.device.type == "cuda"
    place = torch.cuda.get_device_name(engine.device) if cuda else f"{options.threads} threads"
    print(f"flow: {_NAMES[options.algorithm.method]} by engine {engine.name} ({place})", flush=True)
    memory_bytes = None if options.memory_gb is None else int(options.memory_gb * 1e9)
    return by_engine(engine, height, width, memory_bytes, options.threads)


def _frame_rate(stated: Stated) -> Fraction:
    """Return frames a second; ffmpeg rounds them to hundredths, which is undone for the rates of NTSC."""
    rate = stated.frame_rate
    if not rate > 0:
        return _DEFAULT_RATE
    ntsc = Fraction(round(rate) * 1000, 1001)
    return ntsc if abs(ntsc - rate) < 0.005 < abs(round(rate) - rate) else Fraction(rate).limit_denominator(10_000)


def _pairs(options: FlowOptions, stated: Stated) -> int | None:
    """Return how many pairs there will be, about; None where the container does not say."""
    whole = stated.duration_sec * stated.frame_rate
    frames = math.inf if math.isnan(whole) else round(whole) - options.start
    pairs = min(frames, options.frames or math.inf) - 1
    return int(pairs) if 0 < pairs < math.inf else None


def _about(
    options: FlowOptions, stated: Stated, block: Frames, computation: Computation
) -> dict[str, str | float | int]:
    """Return the attributes of fields in HDF5."""
    return {
        "algorithm": canonical_json(options.algorithm.model_dump(mode="json")),
        "engine": computation.engine,
        "device": computation.device,
        "versions": canonical_json({"mml_core": __version__, **computation.versions}),
        "units": "pixels a frame, of the frames as scaled; channel 0 is x, positive to the right, channel 1 is y, "
        "positive downwards",
        "video": options.video.name,
        "video_height": stated.height,  # as coded, that is, before rotation
        "video_width": stated.width,
        "scale": stated.scale_of(*block.shape[1:3]),  # pixels of these fields by upright pixels of the video
        "first_frame": options.start,
        "frame_rate": float(_frame_rate(stated)),
    }


def _report(speed: _Speed, block: Frames, algorithm: FlowAlgorithm, computation: Computation) -> None:
    """Print pairs per second."""
    height, width = block.shape[1:3]
    variant = f", variant {algorithm.variant}" if isinstance(algorithm, Tvl1) else ""
    print(
        f"{speed.pairs} pairs of {width} x {height} by {algorithm.method}{variant}, engine {computation.engine} on "
        f"{computation.device}: {speed.pairs / speed.flow_sec:.3g} pairs/s; "
        f"with decoding and writing {speed.pairs / speed.total_sec:.3g} pairs/s",
        flush=True,
    )
