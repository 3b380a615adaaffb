"""What computes the flow of a video for mml-flow: an engine, or the video's codec."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.flow.api import optical_flow
from mml_core.flow.engine import PairEngine
from mml_core.flow.motion_vectors import motion_vectors
from mml_core.modalities.grey import to_grey
from mml_core.video.decode import VideoError

#: Pairs between two reports of progress: on a GPU, and a thread on a processor.
_STEP_PAIRS_GPU, _STEP_PAIRS = 64, 4
_DISTRIBUTIONS = {"opencv": "opencv-contrib-python-headless"}

Frames = NDArray[np.uint8]
#: From a block of frames (N + 1, H, W, 3) and what is to be told of pairs that are done, to the flow (N, 2, H, W).
FlowOf = Callable[[Frames, Callable[[int], object]], torch.Tensor]


class Computation(NamedTuple):
    """Must be given the blocks of a video in order, and all of them."""

    flow_of: FlowOf
    engine: str
    device: str
    versions: dict[str, str]


def by_engine(engine: PairEngine, height: int, width: int, memory_bytes: int | None, threads: int) -> Computation:
    """Return the computation by an engine that has compiled what it compiles for frames of that size.

    Raises InputError where the engine needs more memory than `memory_bytes`.
    """
    step = _STEP_PAIRS_GPU if engine.device.type == "cuda" else _STEP_PAIRS * threads

    def flow_of(block: Frames, done: Callable[[int], object]) -> torch.Tensor:
        grey = to_grey(torch.from_numpy(block).permute(0, 3, 1, 2))
        parts = []
        for first in range(0, len(block) - 1, step):
            parts += optical_flow([grey[first : first + step + 1]], engine, memory_bytes=memory_bytes)
            done(len(parts[-1]))
        return torch.cat(parts)

    try:
        optical_flow([torch.zeros((2, height, width), dtype=torch.uint8)], engine, memory_bytes=memory_bytes)
    except ValueError as error:
        raise InputError(str(error), hint="allow more with --memory-gb, or choose another --engine") from error
    versions = {name: importlib.metadata.version(_DISTRIBUTIONS.get(name, name)) for name in {"torch", engine.name}}
    return Computation(flow_of, engine.name, str(engine.device), versions)


def by_codec(video: Path, start: int, height: int, width: int, limits: Limits) -> Computation:
    """Return the motion vectors that the video carries, from the frame `start` on."""
    fields = islice(motion_vectors(video, height, width, limits), start, None)

    def flow_of(block: Frames, done: Callable[[int], object]) -> torch.Tensor:
        some = list(islice(fields, len(block) - 1))
        if len(some) < len(block) - 1:
            raise VideoError("its motion vectors end before its frames")
        done(len(some))
        return torch.from_numpy(np.stack(some))

    return Computation(flow_of, "codec", "cpu", {"av": importlib.metadata.version("av")})
