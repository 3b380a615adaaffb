"""The subcommand `mml flow`, with an option for every parameter of every algorithm of the configuration."""

from __future__ import annotations

from dataclasses import asdict, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from cyclopts import Group, Parameter
from cyclopts.validators import Number
from pydantic.fields import FieldInfo

from mml_core.commands.types import Count, Device, Index, Positive
from mml_core.config.flow import Tvl1Engine
from mml_core.flow_command.options import ALGORITHMS, FlowOptions, chosen_algorithm
from mml_core.runtime.compute import available_cores

_COMPUTES = Group("What computes it", sort_key=1)
_VIDEO = Group("What of the video, and how it looks", sort_key=2)
_OF_ALGORITHMS = Group("Parameters of the algorithms", sort_key=3)


def _parameters() -> type:
    """Return the dataclass of the parameters of all algorithms, None where one is not given."""
    owners: dict[str, list[tuple[str, FieldInfo]]] = {}
    for algorithm, model in ALGORITHMS.items():
        for name, info in model.model_fields.items():
            if name != "method":
                owners.setdefault(name, []).append((algorithm, info))
    fields = []
    for name, found in owners.items():
        told = "; ".join(f"{algorithm}: {info.description} [{info.default}]" for algorithm, info in found)
        info = found[0][1]
        hint = info.annotation if get_origin(info.annotation) is Literal else type(info.default)
        about = Parameter(help=told, group=_OF_ALGORITHMS, show_default=False)
        fields.append((name, Annotated[hint | None, about], field(default=None)))
    return make_dataclass("Parameters", fields, frozen=True, namespace={"__module__": __name__})


Parameters: Any = _parameters()


def flow(
    video: Path,
    /,
    *,
    out: list[Path],
    algorithm: Annotated[Literal["tvl1", "dis", "farneback", "motion_vectors"], Parameter(group=_COMPUTES)] = "tvl1",
    engine: Annotated[Tvl1Engine, Parameter(group=_COMPUTES)] = "auto",
    device: Annotated[Device, Parameter(group=_COMPUTES)] = "auto",
    threads: Annotated[Count | None, Parameter(group=_COMPUTES)] = None,
    memory_gb: Annotated[Positive | None, Parameter(group=_COMPUTES)] = None,
    short_side_px: Annotated[int | None, Parameter(group=_VIDEO, validator=Number(gte=16))] = None,
    start: Annotated[Index, Parameter(group=_VIDEO)] = 0,
    frames: Annotated[int | None, Parameter(group=_VIDEO, validator=Number(gte=2))] = None,
    max_px: Annotated[Positive | None, Parameter(group=_VIDEO)] = None,
    parameters: Annotated[Parameters, Parameter(name="*")] = Parameters(),  # noqa: B008 - frozen
) -> None:
    """Optical flow of a video: as colours beside its frames, as fields in HDF5, as Middlebury .flo files.

    Look at it: mml flow video.mp4 --out flow.mp4

    Keep the fields, in both forms: mml flow video.mp4 --out fields.h5 --out fields/

    Args:
        video: any video file
        out: where to write, once or several times; the ending chooses: .mp4 or .mkv, frames beside their flow in the
            colours of Baker et al. 2011 (white does not move, the hue is the direction, the saturation the length);
            .h5, a dataset "flow" (frames - 1, 2, height, width), x then y, in pixels a frame; a name without ending, a
            folder of .flo files
        algorithm: motion_vectors: what the video's codec carries, blocks without computation
        engine: what computes TV-L1; auto: the fastest here
        device: auto: a GPU if there is one; engines numba and opencv, and the algorithms beside TV-L1, compute on the
            processor always
        threads: threads on a processor; default: every core
        memory_gb: what a batch may take where it is computed; default: 1.07 on a processor (or one pair), 80 % of what
            is free on a GPU
        short_side_px: frames are scaled to this shorter side; default: their own, at most 256
        start: first frame
        frames: how many frames; default: all
        max_px: displacement that gets the full colour; default: the 99th percentile of the first pairs
    """
    given = {name: value for name, value in asdict(parameters).items() if value is not None}
    options = FlowOptions(
        video,
        out,
        chosen_algorithm(algorithm, given),
        engine,
        device,
        threads or available_cores(),
        memory_gb,
        short_side_px,
        start,
        frames,
        max_px,
    )
    from mml_core.flow_command.command import flow_of_video

    flow_of_video(options)
