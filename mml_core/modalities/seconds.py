"""How long computing modalities of decoded videos takes: what a system pays before its networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mml_core.config.dataset import DiffModality, FlowModality, Limits, ModalityConfig, RgbModality
from mml_core.config.flow import FlowFiles, MotionVectors, Tvl1Engine
from mml_core.errors import InputError
from mml_core.flow import PairEngine, choose_engine, optical_flow
from mml_core.flow.grey import to_grey
from mml_core.modalities.quantise import flow_to_levels
from mml_core.runtime.clock import clock
from mml_core.shards.differences import difference_levels
from mml_core.video.sources import VideoError


@dataclass(frozen=True)
class DecodedVideo:
    """A video: its decoded frames, uint8 (T, 3, H, W) on the processor, and its file."""

    frames: torch.Tensor
    path: Path


def modality_seconds(
    settings: ModalityConfig,
    videos: Sequence[DecodedVideo],
    *,
    limits: Limits,
    device: torch.device,
    engine: Tvl1Engine = "auto",
) -> list[float] | None:
    """Return the seconds that computing a modality of each of `videos` takes; None where it is not computed here.

    Decoded frames are there already and cost nothing. Flow: from frames to levels on `device` by `engine`, one video
    after another, on a processor by all of torch's threads. Motion vectors: what their decoder takes, which is all that
    there is to do. Neither reading nor encoding counts; what is compiled is compiled before. Flow from files, and kinds
    that are not known here, give None.
    """
    if isinstance(settings, RgbModality):
        return [0.0] * len(videos)
    work = _work(settings, limits, device, engine)
    if work is None:
        return None
    work(DecodedVideo(videos[0].frames[:2], videos[0].path))
    return [_seconds(work, video, device) for video in videos]


def _work(
    settings: ModalityConfig, limits: Limits, device: torch.device, engine: Tvl1Engine
) -> Callable[[DecodedVideo], object] | None:
    """Return what computes a derived modality of a video, or None."""
    match settings:
        case DiffModality():
            return lambda video: difference_levels(video.frames.numpy())
        case FlowModality(algorithm=FlowFiles()):
            return None
        case FlowModality(algorithm=MotionVectors()):
            return lambda video: _read_vectors(video, limits)
        case FlowModality():
            chosen = choose_engine(settings.algorithm, engine, device=device, threads=torch.get_num_threads())
            return lambda video: _compute_flow(video, chosen, settings.bound_px)
    return None


def _seconds(work: Callable[[DecodedVideo], object], video: DecodedVideo, device: torch.device) -> float:
    began = clock(device)
    work(video)
    return clock(device) - began


def _compute_flow(video: DecodedVideo, engine: PairEngine, bound_px: float) -> None:
    (flow,) = optical_flow([to_grey(video.frames).to(engine.device)], engine)
    flow_to_levels(flow, bound_px)


def _read_vectors(video: DecodedVideo, limits: Limits) -> None:
    from mml_core.flow.codec.motion_vectors import motion_vectors  # needs PyAV, which most uses of this module do not

    try:
        for _ in motion_vectors(video.path, *video.frames.shape[2:], limits):
            pass
    except VideoError as error:
        raise InputError(str(error), file=video.path, hint="it had some when its shard was made") from error
