"""Differences of neighbouring frames (RGBDiff)."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
import torchvision

from mml_core import __version__
from mml_core.config.dataset import DiffModality
from mml_core.modalities.derived import open_rgb_shard, source_of, write_derived
from mml_core.modalities.quantise import difference_to_levels
from mml_core.shards.images import encode_planes
from mml_core.shards.schema import ShardInfo

_BLOCK_PAIRS = 32


def make_diff_shard(rgb: Path, modality: str, settings: DiffModality, output: Path, threads: int) -> None:
    """Write the shard `output` of differences: image t is frame t + 1 minus frame t of the shard `rgb`, as decoded."""
    software = {"mml_core": __version__, "torchvision": torchvision.__version__}
    encode = functools.partial(_encode, quality=settings.quality)
    with open_rgb_shard(rgb) as reader:
        info = ShardInfo("diff", modality, settings.model_dump(mode="json"), source_of(reader), software)
        write_derived(reader, encode, info, output, threads, _BLOCK_PAIRS)


def _encode(frames: torch.Tensor, quality: int) -> list[bytes]:
    signed = frames.short().numpy()  # (P + 1, 3, H, W)
    return [encode_planes(levels, quality) for levels in difference_to_levels(signed[1:] - signed[:-1])]
