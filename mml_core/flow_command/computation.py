"""What computes the flow of a video for mml flow: an engine, or the video's codec."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.errors import InputError
from mml_core.flow.api import optical_flow
from mml_core.flow.engine import PairEngine
from mml_core.flow.grey import to_grey
from mml_core.runtime.parallel import in_order
from mml_core.video.sources import VideoError

#: Pairs between two reports of progress: on a GPU, and a thread on a processor.
_STEP_PAIRS_GPU, _STEP_PAIRS = 64, 4

Frames = NDArray[np.uint8]
#: From a block of frames (N + 1, H, W, 3) and what is to be told of pairs that are done, to the flow (N, 2, H, W).
FlowOf = Callable[[Frames, Callable[[int], object]], torch.Tensor]


def _nothing_to_check() -> None:
    """An engine has told all by the time when it returns."""


class Computation(NamedTuple):
    """Computes the flow of a video. Must be given its blocks in order, and all of them, and be asked to check."""

    flow_of: FlowOf
    engine: str
    device: str
    versions: dict[str, str]
    #: After the last block: raises VideoError where the flow is not that of the video.
    check: Callable[[], None] = _nothing_to_check


def by_engine(engine: PairEngine, height: int, width: int, memory_bytes: int | None, threads: int) -> Computation:
    """Return the computation by an engine that has compiled what it compiles for frames of that size.

    threads: those of OpenCV's engines, each with a pair; other engines use the threads that they were made with.
    Raises InputError, then and while it computes, where a pair takes more memory than there is or `memory_bytes` allow.
    """
    side_by_side = threads if engine.name == "opencv" else 1
    step = _STEP_PAIRS_GPU if engine.device.type == "cuda" else _STEP_PAIRS * threads

    def flow_of_clip(grey: torch.Tensor) -> torch.Tensor:
        try:
            return optical_flow([grey], engine, memory_bytes=memory_bytes)[0]
        except ValueError as error:
            raise InputError(str(error), hint="allow more with --memory-gb, or choose another --engine") from error

    def flow_of(block: Frames, done: Callable[[int], object]) -> torch.Tensor:
        grey = to_grey(torch.from_numpy(block).permute(0, 3, 1, 2))
        pairs = 1 if side_by_side > 1 else step
        clips = [grey[first : first + pairs + 1] for first in range(0, len(grey) - 1, pairs)]
        parts = []
        with _mapped(flow_of_clip, clips, side_by_side) as flows:
            for part in flows:
                parts.append(part)
                done(len(part))
        return torch.cat(parts)

    flow_of_clip(torch.zeros((2, height, width), dtype=torch.uint8))
    return Computation(flow_of, engine.name, str(engine.device), _versions("torch", engine.name))


@contextmanager
def _mapped(
    function: Callable[[torch.Tensor], torch.Tensor], items: list[torch.Tensor], threads: int
) -> Iterator[Iterator[torch.Tensor]]:
    """Yield `function` of the `items`, in order, by so many threads, or in this one, which has torch's own threads."""
    if threads == 1:
        yield map(function, items)
        return
    with closing(in_order(function, items, threads)) as results:
        yield results


def _versions(*engines: str) -> dict[str, str]:
    """Return the versions of modules, whatever distribution they came with."""
    return {name: importlib.import_module("cv2" if name == "opencv" else name).__version__ for name in engines}


def by_codec(fields: Iterator[NDArray[np.float32]]) -> Computation:
    """Return the motion vectors that a video carries: `fields` (2, H, W), from the first block's first pair on.

    What is wrong with the vectors is known after the last field, so that this is asked for.
    """

    def flow_of(block: Frames, done: Callable[[int], object]) -> torch.Tensor:
        some = list(islice(fields, len(block) - 1))
        if len(some) < len(block) - 1:
            raise VideoError("its motion vectors end before its frames")
        done(len(some))
        return torch.from_numpy(np.stack(some))

    def check() -> None:
        if next(fields, None) is not None:
            raise VideoError("its motion vectors go on after its frames")

    return Computation(flow_of, "codec", "cpu", {"av": importlib.metadata.version("av")}, check)
