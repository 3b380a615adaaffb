"""What a network sees of a video in training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mml_core.config.base import Strict, added


class ClipConfig(Strict):
    """What a network sees of a video: the same frames and the same crop for all networks of a stage."""

    frames: int = Field(default=8, ge=1, le=128, description="input frames of a clip, or of each of its segments (T)")
    segments: int = Field(
        default=1,
        ge=1,
        le=128,
        description="segments of a clip (S): each takes its frames from its own equal part of the video (TSN, AdaMML); "
        "networks see S * T frames",
    )
    stack: int = Field(default=5, ge=1, le=16, description="flow fields or differences an input frame (rgb: always 1)")
    sampling: Literal["both", "uniform", "dense", "even", "even_or_random"] = Field(
        default="both",
        description="frames in training: uniform, dense, or (both) each with probability one half; even, the same ones always, "
        "from the first to the last evenly spaced (protocols: phase: ends); even_or_random, these or any that are distinct, "
        "each with probability one half",
    )
    dense_window: int = Field(
        default=32,
        ge=1,
        le=100_000,
        description="frames that dense sampling spans; its stride is dense_window // frames, so that as many as frames, "
        "or fewer, are neighbours",
    )
    short_videos: Literal["repeat", "loop"] = added(
        "repeat",
        description="dense sampling where the video, or a segment's part, is shorter than the clip: repeat its last frame, "
        "or begin again with its first (3D-ResNets, MARS)",
    )
    aligned: bool = added(
        False,
        description="clips begin at the same frame in every modality, in training and in testing, so that an rgb frame goes with "
        "the flow fields from it on; false: in training a modality with more items than others begins up to so many later, "
        "and in testing each has its own equal parts (MML)",
    )
    sound_sec: float = added(
        1.28,
        ge=0.05,
        le=10,
        description="seconds of sound that a network hears of each segment, centred on the segment's frames",
    )
    crop_px: int = Field(default=224, ge=16, le=1024, description="side of the square input in pixels")
    crop_policy: Literal["multi_scale", "random", "corner"] = Field(
        default="multi_scale",
        description="training crops: multi_scale, one of crop_scales a side at 13 places (TSM); "
        "random, a square of any size between the smallest and the largest of crop_scales, anywhere; "
        "corner, a square of one of crop_scales in one of the corners or in the middle (3D-ResNets, MARS)",
    )
    crop_scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(1.0, 0.875, 0.75, 0.66),
        min_length=1,
        description="sizes of training crops relative to the shorter side",
    )
