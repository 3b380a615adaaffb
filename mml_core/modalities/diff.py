"""Differences of neighbouring frames (RGBDiff), stored in steps of two grey levels as JPEG.

That costs accuracy: signal-to-noise is 11 to 20 dB on moving clips at JPEG quality 90, and 1.4 dB on one that hardly
moves, whose differences are about as large as a step. docs/shards.md has the bounds and the measurements, and
`mml_core.shards.differences` what makes them when clips are read, without JPEG.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mml_core.config.dataset import DiffModality
from mml_core.modalities.derived import Schedule, Steps, open_rgb_shard, source_of, write_derived
from mml_core.modalities.maker import Making
from mml_core.modalities.software import codec_versions
from mml_core.modalities.timing import PartTimes
from mml_core.shards.differences import difference_levels
from mml_core.shards.images import encode_planes
from mml_core.shards.schema import ShardInfo

_BLOCK_PAIRS = 32


def make(making: Making) -> None:
    """Make a shard of differences."""
    make_diff_shard(making.rgb, making.modality, making.settings, making.output, making.threads)


def make_diff_shard(rgb: Path, modality: str, settings: DiffModality, output: Path, threads: int) -> None:
    """Write the shard `output` of differences: image t is frame t + 1 minus frame t of the shard `rgb`, as decoded."""
    software = codec_versions()
    times = PartTimes()

    def subtract(blocks: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        with times.of("difference"):
            return [difference_levels(frames) for frames in blocks]

    steps = Steps(
        prepare=lambda frames: frames,
        compute=subtract,
        encode=functools.partial(encode_planes, quality=settings.quality),
    )
    with open_rgb_shard(rgb) as reader:
        info = ShardInfo("diff", modality, settings.model_dump(mode="json"), source_of(reader), software)
        write_derived(reader, steps, info, output, Schedule(threads, threads, _BLOCK_PAIRS), times)
