"""The command mml-flow: the flow of a video, block by block, so that memory does not grow with its length."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, NoReturn

import av
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mml_core import __version__, cli
from mml_core.compute import prepare_compute
from mml_core.config.base import canonical_json
from mml_core.config.dataset import Limits
from mml_core.config.flow import FlowAlgorithm, MotionVectors, Tvl1
from mml_core.errors import InputError
from mml_core.flow.computation import Computation, by_codec, by_engine
from mml_core.flow.engines import choose_engine
from mml_core.flow.files import WriteFields
from mml_core.flow.options import check_files, parse
from mml_core.flow.outputs import check_output, open_output
from mml_core.modalities.parallel import progress
from mml_core.video.decode import DecodedVideo, VideoError

#: Pairs in memory at a time: so many, or fewer where frames, fields and pictures of so many take more bytes than this.
_BLOCK_PAIRS = 64
_BLOCK_BYTES = 1 << 29
_BYTES_PER_PIXEL = 24
#: Any length, any duration: a person watches.
_LIMITS = Limits(max_frames=1 << 40, decode_timeout_sec=threading.TIMEOUT_MAX)
_DEFAULT_RATE = Fraction(25)

Frames = NDArray[np.uint8]


def main() -> NoReturn:
    """Run the command with the process's own command line."""
    cli.run(flow_of_video)


def flow_of_video(words: Sequence[str] | None = None) -> None:
    """Do what the command line `words` (default: the process's own) asks for.

    Raises InputError for what the user can mend: options, the video, outputs that cannot be written.
    """
    options = parse(words)
    check_files(options.video, options.out)
    for path in options.out:
        check_output(path)
    with prepare_compute(options.threads, options.device) as compute, ExitStack() as outputs:
        try:
            frames = DecodedVideo(options.video, options.short_side_px, _LIMITS)
            blocks = overlapping_blocks(islice(frames, options.start, _end(options.start, options.frames)))
            first = next(blocks, None)
            if first is None:
                raise VideoError(f"has no two frames from frame {options.start} on")
            computation = _computation(options, compute.device, first)
            rate, stated = _rate_and_frames(options.video)
            about = _about(options, rate, computation)
            write = [outputs.enter_context(open_output(path, about, rate, options.max_px)) for path in options.out]
            total = (options.frames or stated - options.start) - 1
            with progress(max(total, 0) or None, options.video.name, "pairs") as bar:
                speed = _compute(chain([first], blocks), computation, write, bar)
        except VideoError as error:
            raise InputError(str(error), file=options.video) from error
    _report(speed, first, options.algorithm, computation)
    print("\n".join(f"wrote {path}" for path in options.out), flush=True)


def _end(start: int, count: int | None) -> int | None:
    return None if count is None else start + count


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
    return _Speed(pairs, flow_sec, time.perf_counter() - began)


def _computation(options: argparse.Namespace, device: torch.device, block: Frames) -> Computation:
    height, width = block.shape[1:3]
    if isinstance(options.algorithm, MotionVectors):
        return by_codec(options.video, options.start, height, width, _LIMITS)
    engine = choose_engine(options.algorithm, options.engine, device=device, threads=options.threads)
    memory_bytes = None if options.memory_gb is None else int(options.memory_gb * 1e9)
    return by_engine(engine, height, width, memory_bytes, options.threads)


def _rate_and_frames(video: Path) -> tuple[Fraction, int]:
    """Return frames a second and number of frames as the container of a decodable video states them; 0: unknown."""
    try:
        with av.open(str(video), options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            return stream.average_rate or _DEFAULT_RATE, stream.frames
    except (OSError, av.FFmpegError, IndexError):  # decodable it is: another build of ffmpeg did it
        return _DEFAULT_RATE, 0


def _about(options: argparse.Namespace, rate: Fraction, computation: Computation) -> dict[str, str | float | int]:
    """Return the attributes of fields in HDF5."""
    return {
        "algorithm": canonical_json(options.algorithm.model_dump(mode="json")),
        "engine": computation.engine,
        "device": computation.device,
        "versions": canonical_json({"mml_core": __version__, **computation.versions}),
        "units": "pixels a frame; channel 0 is x, positive to the right, channel 1 is y, positive downwards",
        "video": options.video.name,
        "first_frame": options.start,
        "frame_rate": float(rate),
    }


def _report(speed: _Speed, block: Frames, algorithm: FlowAlgorithm, computation: Computation) -> None:
    """Print pairs per second."""
    height, width = block.shape[1:3]
    variant = f", variant {algorithm.variant}" if isinstance(algorithm, Tvl1) else ""
    print(
        f"{speed.pairs} pairs of {width} x {height} by {algorithm.method}{variant}, engine {computation.engine} on "
        f"{computation.device}: {speed.pairs / speed.flow_sec:.3g} pairs/s; "
        f"with decoding and writing {speed.pairs / speed.total_sec:.3g} pairs/s"
    )


if __name__ == "__main__":
    main()
