"""What a network sees of a video in training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mml_core.config.base import Strict


class ClipConfig(Strict):
    """What a network sees of a video: the same frames and the same crop for all networks of a stage."""

    frames: int = Field(default=8, ge=1, le=128, description="input frames of a segment")
    segments: int = Field(
        default=1, ge=1, le=128, description="segments of a clip, each from its own part of the video"
    )
    stack: int = Field(default=5, ge=1, le=16, description="flow fields or differences an input frame (rgb: always 1)")
    sampling: Literal["both", "uniform", "dense"] = Field(
        default="both", description="frames in training: uniform, dense, or each with probability one half"
    )
    dense_window: int = Field(
        default=32,
        ge=1,
        le=100_000,
        description="frames that dense sampling spans; its stride is dense_window // frames",
    )
    crop_px: int = Field(default=224, ge=16, le=1024, description="side of the square input in pixels")
    crop_policy: Literal["multi_scale", "random"] = Field(
        default="multi_scale",
        description="training crops: multi_scale, one of crop_scales a side at 13 places (TSM); "
        "random, a square of any size between the smallest and the largest of crop_scales, anywhere",
    )
    crop_scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(1.0, 0.875, 0.75, 0.66),
        min_length=1,
        description="sizes of training crops relative to the shorter side",
    )
