"""Optical flow between neighbouring frames.

Convention: field t is the displacement, in pixels of the stored frames, of what is at a pixel of frame t until
frame t + 1; channel 0 is x, positive to the right, channel 1 is y, positive downwards, as in OpenCV.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray

from mml_core import __version__
from mml_core.config.dataset import FlowModality
from mml_core.modalities.derived import open_rgb_shard, source_of, write_derived
from mml_core.modalities.opencv import OpenCvTvl1
from mml_core.modalities.quantise import flow_to_levels
from mml_core.shards.images import encode_planes
from mml_core.shards.schema import ShardInfo

#: From a batch of frame pairs, each grey and uint8 (P, H, W), to the flow from first to second, float32 (P, 2, H, W).
#: Must allow calls from several threads at a time.
FlowEngine = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]

_BLOCK_PAIRS = 8


def make_flow_shard(rgb: Path, modality: str, settings: FlowModality, output: Path, threads: int) -> None:
    """Write the shard `output` of TV-L1 flow between the frames of the shard `rgb`, as decoded."""
    software = {"mml_core": __version__, "torchvision": torchvision.__version__, "opencv": cv2.__version__}
    encode = functools.partial(_encode, engine=OpenCvTvl1(settings.algorithm), settings=settings)
    with open_rgb_shard(rgb) as reader:
        info = ShardInfo("flow", modality, settings.model_dump(mode="json"), source_of(reader), software)
        write_derived(reader, encode, info, output, threads, _BLOCK_PAIRS)


def flow_fields(frames: NDArray[np.uint8], engine: FlowEngine) -> NDArray[np.float32]:
    """Return the flow (T - 1, 2, H, W) between neighbouring grey `frames` (T, H, W)."""
    return engine(frames[:-1], frames[1:])


def to_grey(frames: torch.Tensor) -> NDArray[np.uint8]:
    """Return the luma (T, H, W), by ITU-R BT.601 as OpenCV rounds it, of RGB frames (T, 3, H, W), uint8."""
    pixels = np.ascontiguousarray(frames.numpy().transpose(0, 2, 3, 1))
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in pixels])


def _encode(frames: torch.Tensor, engine: FlowEngine, settings: FlowModality) -> list[bytes]:
    fields = flow_to_levels(flow_fields(to_grey(frames), engine), settings.bound_px)
    return [encode_planes(field, settings.quality) for field in fields]
