"""Depth as a modality: maps of distances that a second sensor recorded, and how networks see them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mml_core.config.base import Strict
from mml_core.config.beside import BesidePattern
from mml_core.config.own_annotations import VIDEO_ENDINGS

Millimetres = Annotated[float, Field(gt=0, le=1e6)]
#: Colour maps, by which networks see the levels of depth as three channels.
Colours = Literal["jet", "grey"]


class DepthModality(Strict):
    """Depth from files beside the videos: one map for each stored frame, of its size (nearest neighbour), without loss.

    A video whose maps are missing, damaged, of several sizes, or not those of its frames is quarantined in this modality.
    """

    kind: Literal["depth"] = "depth"
    files: BesidePattern = Field(
        description="where those of a video are, below the folder of videos: {path} is the video's own path there without "
        "its ending, {id} its id; a video of depth (grey, 8 bits) where it ends as videos do (.mkv, .avi, .mp4, …), else a "
        "folder of PNGs of one channel of 8 or 16 bits, numbered without a gap, one a map",
    )
    range_mm: tuple[Millimetres, Millimetres] = Field(
        default=(500.0, 4500.0),
        description="distances in millimetres that become levels 1 and 255; what is nearer or farther is clipped. Level 0 is "
        "kept for no reading, which files say by 0",
    )
    unit_mm: Millimetres = Field(
        default=1.0,
        description="millimetres that one grey level of a file stands for: 1 in most 16-bit files; files of 8 bits, and "
        "videos, need another one",
    )
    match: Literal["index", "time"] = Field(
        default="index",
        description="index: map t belongs to frame t, and there are as many; time: frame t has the map that is nearest in "
        "time, both recordings beginning together",
    )
    frames_per_sec: float | None = Field(
        default=None,
        gt=0,
        le=240,
        description="maps a second where `match: time` needs it: those of a folder; a video of depth states its own rate",
    )

    @property
    def fault_of_8_bits(self) -> str | None:
        """Why maps of 8 bits tell nothing, all of their levels being nearer than the range; None where they do."""
        end, near = 255 * self.unit_mm, self.range_mm[0]
        return None if end > near else f"levels of 8 bits end at {end:g} mm, and range_mm begins at {near:g}"

    @property
    def in_videos(self) -> bool:
        """Whether the maps of a video are a video of depth, and not a folder of PNGs."""
        return PurePosixPath(self.files).suffix.lower() in VIDEO_ENDINGS

    @model_validator(mode="after")
    def _consistent(self) -> DepthModality:
        if self.range_mm[0] >= self.range_mm[1]:
            raise ValueError(f"range_mm: expected the nearer distance first, got {list(self.range_mm)}")
        needed = self.match == "time" and not self.in_videos
        if needed and self.frames_per_sec is None:
            raise ValueError("frames_per_sec: match: time needs to know how many maps a folder has for a second")
        if not needed and self.frames_per_sec is not None:
            why = "a video of depth states its own rate" if self.in_videos else "maps that match by index need no rate"
            raise ValueError(f"frames_per_sec: {why}")
        return self

    @model_validator(mode="after")
    def _levels_within_range(self) -> DepthModality:
        if self.unit_mm >= self.range_mm[1]:
            raise ValueError(f"unit_mm: one level is {self.unit_mm:g} mm, no nearer than the end of range_mm")
        if self.in_videos and self.fault_of_8_bits:
            raise ValueError(f"unit_mm: {self.fault_of_8_bits}")
        return self
