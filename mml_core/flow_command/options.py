"""The command line of mml-flow: its words, and the algorithm that they describe."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from mml_core.config.base import validate
from mml_core.config.flow import Dis, Farneback, MotionVectors, Tvl1, Tvl1Engine
from mml_core.errors import InputError
from mml_core.flow.levels import SMALLEST_SIDE_PX
from mml_core.runtime.compute import available_cores

#: Shorter side of the frames where the command line does not say.
MOST_PX = 256
_ALGORITHMS = {"tvl1": Tvl1, "dis": Dis, "farneback": Farneback, "motion_vectors": MotionVectors}

_DESCRIPTION = """\
Optical flow of a video: as colours beside its frames, as fields in HDF5, as Middlebury .flo files.

  mml-flow video.mp4 --out flow.mp4                    look at it
  mml-flow video.mp4 --out fields.h5 --out fields/     keep the fields, in both forms
"""
_OUT_HELP = """where to write, once or several times; the ending chooses: .mp4 or .mkv, frames beside their flow in the
colours of Baker et al. 2011 (white does not move, the hue is the direction, the saturation the length); .h5, a dataset
"flow" (frames - 1, 2, height, width), x then y, in pixels a frame; a name without ending, a folder of .flo files"""

_DEVICE_HELP = """auto: a GPU if there is one; engines numba and opencv, and the algorithms beside TV-L1, compute on the
processor always"""


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return the options that `words` (default: the process's own) give, with `algorithm` validated.

    Raises InputError for parameters that the chosen algorithm has not, or outside their ranges.
    """
    parser = argparse.ArgumentParser(
        prog="mml-flow",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--out", type=Path, action="append", required=True, metavar="NAME", help=_OUT_HELP)
    _add_computation(parser)
    _add_video(parser)
    names = _add_parameters(parser)
    options = parser.parse_args(words)
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    document = {"method": options.algorithm, **given}
    options.algorithm = validate(_ALGORITHMS[options.algorithm], document, Path("command line"))
    return options


def _add_computation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what computes it")
    group.add_argument(
        "--algorithm",
        choices=list(_ALGORITHMS),
        default="tvl1",
        help="default: tvl1; motion_vectors: what the video's codec carries, blocks without computation",
    )
    group.add_argument(
        "--engine", choices=get_args(Tvl1Engine), default="auto", help="what computes TV-L1; auto: the fastest here"
    )
    group.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help=_DEVICE_HELP)
    group.add_argument(
        "--threads", type=_from(1), default=available_cores(), help="threads on a processor; default: every core"
    )
    group.add_argument(
        "--memory-gb",
        type=_positive,
        metavar="GB",
        help="what a batch may take where it is computed; default: 1.07 on a processor (or one pair), 80 %% of "
        "what is free on a GPU",
    )


def _add_video(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what of the video, and how it looks")
    group.add_argument(
        "--short-side-px",
        type=_from(SMALLEST_SIDE_PX),
        metavar="PX",
        help=f"frames are scaled to this shorter side; default: their own, at most {MOST_PX}",
    )
    group.add_argument("--start", type=_from(0), default=0, metavar="FRAME", help="first frame; default: 0")
    group.add_argument("--frames", type=_from(2), metavar="COUNT", help="how many frames; default: all")
    group.add_argument(
        "--max-px",
        type=_positive,
        metavar="PX",
        help="displacement that gets the full colour; default: the 99th percentile of the first pairs",
    )


def _from(least: int) -> Any:
    """Return a type for argparse: integers from `least` on."""

    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {value}")
        return value

    return integer


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def _add_parameters(parser: argparse.ArgumentParser) -> list[str]:
    """Add an option for every parameter of every algorithm; return the parameters' names."""
    fields: dict[str, list[tuple[str, FieldInfo]]] = {}
    for algorithm, model in _ALGORITHMS.items():
        for name, field in model.model_fields.items():
            if name != "method":
                fields.setdefault(name, []).append((algorithm, field))
    group = parser.add_argument_group("parameters of the algorithms")
    for name, owners in fields.items():
        about = "; ".join(f"{algorithm}: {field.description} [{field.default}]" for algorithm, field in owners)
        field = owners[0][1]
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else None
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(field.default),
            choices=choices,
            metavar=None if choices else "VALUE",
            help=about.replace("%", "%%"),
        )
    return list(fields)


def uses_gpu(options: argparse.Namespace) -> bool:
    """Return whether a GPU may be of use: only TV-L1 runs on one, and not by every engine."""
    return isinstance(options.algorithm, Tvl1) and options.engine not in ("numba", "opencv")


def check_files(video: Path, outputs: Sequence[Path]) -> None:
    """Raise InputError where an output is named twice, or is the video."""
    seen = {video.resolve()}
    for path in outputs:
        if path.resolve() in seen:
            raise InputError("is named twice; outputs must differ from the video and from each other", file=path)
        seen.add(path.resolve())
