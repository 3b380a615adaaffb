"""How the pictures of two sensors lie on each other: the block `alignment` of a data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mml_core.config.base import Strict
from mml_core.config.beside import BesidePattern

#: A length in the RGB picture by the same length in the depth map, both in pixels; no two sensors differ by more.
LEAST_SCALE, MOST_SCALE = 0.02, 50.0
#: Largest offset in pixels.
MOST_OFFSET_PX = 1e6

_Side = Annotated[int, Field(ge=1, le=16_384)]
_Offset = Annotated[float, Field(ge=-MOST_OFFSET_PX, le=MOST_OFFSET_PX)]


class SkeletonAlignment(Strict):
    """From the joints of people, whose places both sensors' pictures state (Garcia et al. 2018, supplement, section 2)."""

    method: Literal["skeletons"]
    files: BesidePattern = Field(
        description="where the skeletons of a video are, below the folder of videos, in the form of NTU RGB+D: {path} is the "
        "video's own path there without its ending, {id} its id"
    )
    depth_size_px: tuple[_Side, _Side] = Field(
        default=(512, 424), description="width and height of the depth maps; those of Kinect 2, as in NTU RGB+D"
    )


class GivenAlignment(Strict):
    """The same known numbers for all videos."""

    method: Literal["given"]
    scale: float = Field(
        ge=LEAST_SCALE, le=MOST_SCALE, description="pixels of the RGB picture that one pixel of the depth map is long"
    )
    offset_px: tuple[_Offset, _Offset] = Field(
        description="x and y in the RGB picture of the depth map's first pixel, from centre to centre: "
        "rgb = scale · depth + offset"
    )
    depth_size_px: tuple[_Side, _Side] = Field(description="width and height of the depth maps")


AlignmentConfig = Annotated[SkeletonAlignment | GivenAlignment, Field(discriminator="method")]
