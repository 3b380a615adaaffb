"""What `mml flow` is asked for, and the algorithm that its parameters describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml_core.config.base import validate
from mml_core.config.flow import Dis, Farneback, FlowAlgorithm, MotionVectors, Tvl1, Tvl1Engine
from mml_core.errors import InputError

#: Shorter side of the frames where the command line does not say.
MOST_PX = 256
ALGORITHMS = {"tvl1": Tvl1, "dis": Dis, "farneback": Farneback, "motion_vectors": MotionVectors}


@dataclass(frozen=True)
class FlowOptions:
    """Which flow of which video is computed by what, and where it goes."""

    video: Path
    out: Sequence[Path]
    algorithm: FlowAlgorithm
    engine: Tvl1Engine
    device: str  # auto, cpu or cuda
    threads: int
    memory_gb: float | None  # what a batch may take; None: see `computation.by_engine`
    short_side_px: int | None  # of the frames; None: their own, at most MOST_PX
    start: int  # first frame
    frames: int | None  # how many; None: all
    max_px: float | None  # displacement that gets the full colour; None: see `outputs.colour_video`


def chosen_algorithm(method: str, given: Mapping[str, Any]) -> FlowAlgorithm:
    """Return the algorithm `method` with the parameters `given`.

    Raises InputError for parameters that it has not, or outside their ranges.
    """
    return validate(ALGORITHMS[method], {"method": method, **given}, Path("command line"))


def uses_gpu(options: FlowOptions) -> bool:
    """Return whether a GPU may be of use: only TV-L1 runs on one, and not by every engine."""
    return isinstance(options.algorithm, Tvl1) and options.engine not in ("numba", "opencv")


def check_files(video: Path, outputs: Sequence[Path]) -> None:
    """Raise InputError where an output is named twice, or is the video."""
    seen = {video.resolve()}
    for path in outputs:
        if path.resolve() in seen:
            raise InputError("is named twice; outputs must differ from the video and from each other", file=path)
        seen.add(path.resolve())
