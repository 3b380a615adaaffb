"""What flow and differences share: image t of a video is made from its frames t and t + 1.

Reading, computing, encoding and writing overlap, each in threads of its own, with a bounded number of blocks between
them. What is computed does not depend on the threads, nor on how videos are cut into blocks and blocks put together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain, islice
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mml_core.errors import InputError
from mml_core.modalities.timing import PartTimes
from mml_core.runtime.parallel import in_order, progress
from mml_core.shards.reader import ShardReader
from mml_core.shards.schema import ShardInfo, VideoEntry
from mml_core.shards.writer import ShardWriter


class Prepared(Protocol):
    """An array or tensor."""

    @property
    def shape(self) -> Sequence[int]:
        """Its sizes, of items first."""


Own = TypeVar("Own", bound=Prepared)


class Steps(NamedTuple, Generic[Own]):
    """How images are made; all functions are called from several threads at a time."""

    #: From decoded frames (P + 1, 3, H, W), uint8, to what is computed with, of the same length.
    prepare: Callable[[NDArray[np.uint8]], Own]
    #: From prepared blocks of one frame size to their levels, each (P, C, H, W).
    compute: Callable[[Sequence[Own]], list[NDArray[np.uint8]]]
    #: From an image's levels (C, H, W) to its stored bytes.
    encode: Callable[[NDArray[np.uint8]], bytes]


class Schedule(NamedTuple):
    """How work is cut up; changes no bit of the result."""

    threads: int  # that read, and as many that encode
    compute_threads: int
    block_pairs: int  # frame pairs that are read and encoded at a time
    batch_pixels: int = 0  # blocks are computed together until they have so many pixels; 0: one by one


class _Block(NamedTuple):
    """The pairs (t, t + 1) of a video with `first` <= t < `stop`."""

    entry: VideoEntry
    first: int
    stop: int


def open_rgb_shard(path: Path) -> ShardReader:
    """Open the shard at `path`; raises InputError where it holds no frames."""
    reader = ShardReader(path)
    if reader.info.kind != "rgb":
        raise InputError(f"expected a shard of kind rgb, got {reader.info.kind}", file=path)
    return reader


def write_derived(
    rgb: ShardReader, steps: Steps[Own], info: ShardInfo, output: Path, schedule: Schedule, times: PartTimes
) -> None:
    """Write the shard `output` with N - 1 images for the N frames of each video of `rgb`.

    Memory does not depend on the length of a video. The quarantine of `rgb` is carried over. The time of reading,
    encoding and writing is added to `times`; `steps` add their own.
    """
    blocks = {video_id: list(_blocks(entry, schedule.block_pairs)) for video_id, entry in rgb.videos.items()}
    pairs = sum(entry.count - 1 for entry in rgb.videos.values())
    with (
        ExitStack() as stack,
        ShardWriter(output, info) as writer,
        progress(pairs, info.modality, "frame pairs") as bar,
    ):
        every_block = chain.from_iterable(blocks.values())
        encoded = _encoded_blocks(rgb, steps, every_block, schedule, times, stack)
        for video_id, entry in rgb.videos.items():
            images = _counted(islice(encoded, len(blocks[video_id])), bar.update, times)
            with times.of("write"):
                writer.add(video_id, images, height=entry.height, width=entry.width, frame_rate=entry.frame_rate)
        for video_id, reason in rgb.quarantined.items():
            writer.quarantine(video_id, reason)
    print(f"{info.modality}: {times.summary(pairs, 'frame pairs')}", flush=True)


def source_of(rgb: ShardReader) -> dict[str, object]:
    """What a derived shard records of the shard that it was made from."""
    return {"settings": rgb.info.settings, "software": rgb.info.software}


def _blocks(entry: VideoEntry, block_pairs: int) -> Iterator[_Block]:
    for first in range(0, entry.count - 1, block_pairs):
        yield _Block(entry, first, min(first + block_pairs, entry.count - 1))


def _encoded_blocks(
    rgb: ShardReader,
    steps: Steps[Own],
    blocks: Iterable[_Block],
    schedule: Schedule,
    times: PartTimes,
    stack: ExitStack,
) -> Iterator[list[bytes]]:
    """Yield the images of each block in order; `stack` ends the threads."""

    def read(block: _Block) -> Own:
        with times.of("read"):
            frames = rgb.read(block.entry, range(block.first, block.stop + 1), 1)
        return steps.prepare(frames)

    def encode(levels: NDArray[np.uint8]) -> list[bytes]:
        with times.of("encode"):
            return [steps.encode(image) for image in levels]

    prepared = stack.enter_context(closing(in_order(read, blocks, schedule.threads)))
    batches = _batches(prepared, schedule.batch_pixels)
    computed = stack.enter_context(closing(in_order(steps.compute, batches, schedule.compute_threads)))
    return stack.enter_context(closing(in_order(encode, chain.from_iterable(computed), schedule.threads)))


def _batches(blocks: Iterable[Own], pixels: int) -> Iterator[list[Own]]:
    """Put neighbouring blocks of one frame size together until they have `pixels` pixels."""
    batch: list[Own] = []
    for block in blocks:
        if batch and (batch[0].shape[1:] != block.shape[1:] or sum(math.prod(one.shape) for one in batch) >= pixels):
            yield batch
            batch = []
        batch.append(block)
    if batch:
        yield batch


def _counted(blocks: Iterator[list[bytes]], update: Callable[[int], object], times: PartTimes) -> Iterator[bytes]:
    """Yield the images of `blocks`; the time spent waiting for them is no time of the writer, who asks."""
    while True:
        began = time.perf_counter()
        images = next(blocks, None)
        times.add("write", began - time.perf_counter())
        if images is None:
            return
        yield from images
        update(len(images))
