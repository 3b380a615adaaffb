"""Where a place of any video looks in a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from mml_core.clips import EvaluationClips, Sample
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks import NetworkConfig
from mml_core.config.networks.base import Looking
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.loading import TrainedStage, load_network, open_stage
from mml_core.figures.attention_figure import on_device
from mml_core.figures.looks import Look, looks_of
from mml_core.figures.networks import StageViews
from mml_core.inference.stores import VIDEO, VideoRules, video_stores
from mml_core.kinds import kind_of
from mml_core.plan.data_file import read_data_plan


class VideoAttention(NamedTuple):
    """Where a place looks in each frame of the clip in the middle of a video."""

    network: str  # `network`, or `network.branch`
    looking: Looking
    looks: list[Look]


def plan_beside(weights: Path) -> Path:
    """Return where the workflow has the plan of the data set that the stage with these `weights` was trained on.

    That is `results/<dataset>/plan.json` for `results/<dataset>/stages/<stage>/weights.safetensors`.
    """
    return weights.absolute().parent.parent.parent / "plan.json"


def attention_of_video(
    video: Path,
    weights: Path,
    *,
    plan: Path,
    network: str | None,
    query: tuple[float, float],
    device: torch.device,
    threads: int,
) -> VideoAttention:
    """Return where `query` looks in the clip in the middle of `video`, through the last attention block.

    Args:
        video: any video file.
        weights: those of a stage.
        plan: of the data set that the stage was trained on: how its modalities are made of videos.
        network: `network`, or `network.branch`; default: the only network of the stage that looks.
        query: as in `attention.shares_of`.
        device: where flow is computed and the network runs.
        threads: of a processor, for flow.

    Raises InputError, before the video is decoded, for files that cannot be read or do not fit each other and networks
    that do not look; then for a video that cannot be decoded, or not within the data set's limits.
    """
    stage, dataset = open_stage(weights), read_data_plan(plan).config
    name, looking = _looking(stage, network)
    read = stage.document.config.networks[name.partition(".")[0]].modalities
    for modality in read:
        known = modality in dataset.modalities and dataset.modality_key(modality)
        if known != stage.document.modalities[modality]:
            raise InputError(
                f"makes modality {modality!r} otherwise than for the stage of {weights}",
                file=plan,
                hint="name the plan of the data set that the stage was trained on with --plan",
            )
    require_pictures(video, dataset, read)
    stores = video_stores(video, VideoRules.of(dataset, device, threads), read)
    clip = stage.document.config.clip
    classes, sample = len(stage.classes), Sample(VIDEO, ())
    clips = EvaluationClips(stores, [sample], clip, _middle(clip), class_count=classes, multi_label=False)
    trained = on_device(load_network(stage, name.partition(".")[0], clips), device)
    looks = looks_of(trained, looking, StageViews(stage, clips, dataset.rgb_name), VIDEO, query)
    return VideoAttention(name, looking, looks)


def require_pictures(video: Path, dataset: DatasetConfig, modalities: Sequence[str]) -> None:
    """Raise InputError where one of `modalities` is sound."""
    for name in modalities:
        if not kind_of(dataset.modalities[name].kind).spatial:
            raise InputError(
                f"modality {name!r} of data set {dataset.name!r} is sound, in which no place looks at another",
                file=video,
                hint="name a network that reads pictures alone",
            )


def _looking(stage: TrainedStage, network: str | None) -> tuple[str, Looking]:
    """Return the network or branch that is meant, and whose places look at what in it."""
    config = stage.document.config
    looking = {name: looks for name in config.references if (looks := _looks(config.networks, name)) is not None}
    wanted = network or next(iter(looking), None)
    if wanted in looking and (network or len({name.partition(".")[0] for name in looking}) == 1):
        return wanted, looking[wanted]
    if not looking:
        told = ", ".join(f"{name}: {config.networks[name].architecture}" for name in config.trained)
        hint = "name the weights of a stage with a network of architecture cma or non_local"
        raise InputError(f"no network of the stage has attention blocks ({told})", file=stage.weights, hint=hint)
    if network is None:
        raise InputError(
            "several networks of the stage look", file=stage.weights, hint=f"--network {' | '.join(looking)}"
        )
    why = "has no attention blocks" if network in config.references else "is none of the stage's networks"
    raise InputError(f"{network!r} {why}", file=stage.weights, hint=f"--network {' | '.join(looking)}")


def _looks(networks: dict[str, NetworkConfig], reference: str) -> Looking | None:
    name, _, part = reference.partition(".")
    return networks[name].looking(part)


def _middle(clip: ClipConfig) -> ProtocolConfig:
    """Return the protocol of one clip in the middle, sampled as in training."""
    return ProtocolConfig(dense=1, uniform=0) if clip.sampling == "dense" else ProtocolConfig(phase="middle")
