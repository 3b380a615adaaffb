"""What flow and differences share: image t of a video is made from its frames t and t + 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import torch

from mml_core.errors import InputError
from mml_core.modalities.parallel import in_order, progress
from mml_core.shards.reader import ShardReader
from mml_core.shards.schema import ShardInfo, VideoEntry
from mml_core.shards.writer import ShardWriter

#: From neighbouring frames (P + 1, 3, H, W), uint8, to the P encoded images between them.
EncodePairs = Callable[[torch.Tensor], list[bytes]]


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
    rgb: ShardReader, encode: EncodePairs, info: ShardInfo, output: Path, threads: int, block_pairs: int
) -> None:
    """Write the shard `output` with N - 1 images for the N frames of each video of `rgb`.

    `encode` is called by `threads` threads at a time with at most `block_pairs` pairs, so memory does not depend on
    the length of a video. The quarantine of `rgb` is carried over.
    """

    def work(block: _Block) -> list[bytes]:
        return encode(rgb.read(block.entry, range(block.first, block.stop + 1), 1))

    blocks = {video_id: list(_blocks(entry, block_pairs)) for video_id, entry in rgb.videos.items()}
    pairs = sum(entry.count - 1 for entry in rgb.videos.values())
    with (
        closing(in_order(work, chain.from_iterable(blocks.values()), threads)) as results,
        ShardWriter(output, info) as writer,
        progress(pairs, info.modality, "frame pairs") as bar,
    ):
        for video_id, entry in rgb.videos.items():
            images = _counted(islice(results, len(blocks[video_id])), bar.update)
            writer.add(video_id, images, height=entry.height, width=entry.width, frame_rate=entry.frame_rate)
        for video_id, reason in rgb.quarantined.items():
            writer.quarantine(video_id, reason)


def source_of(rgb: ShardReader) -> dict[str, object]:
    """What a derived shard records of the shard that it was made from."""
    return {"settings": rgb.info.settings, "software": rgb.info.software}


def _blocks(entry: VideoEntry, block_pairs: int) -> Iterator[_Block]:
    for first in range(0, entry.count - 1, block_pairs):
        yield _Block(entry, first, min(first + block_pairs, entry.count - 1))


def _counted(blocks: Iterator[list[bytes]], update: Callable[[int], object]) -> Iterator[bytes]:
    for images in blocks:
        yield from images
        update(len(images))
