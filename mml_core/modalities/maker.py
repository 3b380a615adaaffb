"""Which module makes a derived modality, and what it is given: `make(making)` of that module writes the shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from mml_core.config.alignment import AlignmentConfig
from mml_core.config.audio import AudioModality
from mml_core.config.dataset import FlowModality, Limits, ModalityConfig
from mml_core.config.depth import DepthModality
from mml_core.config.flow import FlowFiles, MotionVectors, Tvl1, Tvl1Engine

if TYPE_CHECKING:
    import torch

#: What computes TV-L1, all of which define it: which one does is known when it computes.
_TVL1 = ("mml_core.flow.numba", "mml_core.flow.opencv", "mml_core.flow.torch", "mml_core.flow.triton")


@dataclass(frozen=True)
class Making:
    """What the maker of a derived modality is given for one shard."""

    modality: str
    settings: ModalityConfig
    rgb: Path  # shard of decoded frames
    videos: Mapping[str, Path]  # id to file
    root: Path  # folder that the videos are in
    limits: Limits
    output: Path
    threads: int
    engine: Tvl1Engine
    device: torch.device
    alignment: AlignmentConfig | None = None  # of the sensors of frames and of depth
    folder_frames_per_sec: float | None = None  # of videos that are folders of frames
    spans_sec: Mapping[str, tuple[float, float]] = field(
        default_factory=dict
    )  # by id, which part of its file a video is


def modality_from_json(text: str) -> ModalityConfig:
    """Return a modality's block of a data set, written as JSON."""
    return TypeAdapter(ModalityConfig).validate_json(text)


def from_videos(settings: ModalityConfig) -> bool:
    """Whether a modality is made from the videos, or files beside them, and not from decoded frames alone."""
    if isinstance(settings, FlowModality):
        return isinstance(settings.algorithm, MotionVectors | FlowFiles)
    return isinstance(settings, DepthModality | AudioModality)


def maker(settings: ModalityConfig) -> str:
    """Return the module that makes a derived modality: that of its kind, but for flow that is not computed."""
    match settings:
        case FlowModality(algorithm=MotionVectors()):
            name = "motion_vectors"
        case FlowModality(algorithm=FlowFiles()):
            name = "flow_files"
        case _:
            name = settings.kind
    return f"mml_core.modalities.{name}"


def maker_roots(settings: ModalityConfig) -> list[str]:
    """Return the modules and packages that define a derived modality besides what they import."""
    if not isinstance(settings, FlowModality) or from_videos(settings):
        return [maker(settings)]
    engines = _TVL1 if isinstance(settings.algorithm, Tvl1) else ("mml_core.flow.opencv",)
    return [maker(settings), *engines]


def can_use_gpu(settings: ModalityConfig, engine: Tvl1Engine) -> bool:
    """Whether a derived modality is computed on a GPU where there is one."""
    return isinstance(settings, FlowModality) and settings.can_use_gpu(engine)
