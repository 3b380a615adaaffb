"""Scoring one stage from files to files: its weights and the shards of one split in, a scores file out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import ValidationError

from mml_core.clips import EvaluationClips, Sample, usable_videos
from mml_core.config.stage import StageConfig
from mml_core.config.tables import ProtocolConfig
from mml_core.data.stores import open_stores
from mml_core.errors import InputError
from mml_core.evaluation.scores import UNKNOWN, NetworkScores, Scores, write_scores
from mml_core.networks import VideoNetwork, build_network, gflops_per_clip, hand_over
from mml_core.networks.inputs import Input, clip_shape, inputs_of
from mml_core.networks.predict import ViewScores, score_videos
from mml_core.networks.stage_weights import read_about, read_weights, stage_sha256
from mml_core.plan.stages import DataPlan, StageDocument


class _Scored(NamedTuple):
    """A network that is scored."""

    network: VideoNetwork
    inputs: tuple[Input, ...]
    gflops_per_view: float


def score_stage(
    weights: Path,
    plan: DataPlan,
    shards: Path,
    split: str,
    protocol: ProtocolConfig,
    output: Path,
    *,
    device: torch.device,
    workers: int,
) -> None:
    """Score `split` with all networks of the stage whose weights are at `weights`, and write the scores to `output`."""
    stage_sha256(weights)
    about = read_about(weights)
    document = _document(about, weights)
    stores = open_stores(plan, shards, document.scored_modalities(), [split])
    videos = plan.videos(split)
    samples = usable_videos(stores, [Sample(video.video_id, video.labels) for video in videos])
    if not samples:
        raise InputError(
            f"no usable video of split {split!r} in data set {plan.config.name!r}", hint="see data_quality.csv"
        )
    config, classes = document.config, tuple(about["classes"])
    clips = EvaluationClips(
        stores, samples, config.clip, protocol, class_count=len(classes), multi_label=plan.config.multi_label
    )
    scored = {name: _load(name, config, clips, weights) for name in config.trained}
    said = score_videos(
        {name: one.network.to(device, memory_format=one.network.memory_format) for name, one in scored.items()},
        {name: one.inputs for name, one in scored.items()},
        clips,
        device=device,
        workers=workers,
        mixed=config.precision == "mixed",
    )
    scores = Scores(
        split=split,
        protocol=protocol,
        crop_px=config.clip.crop_px,
        classes=classes,
        video_ids=tuple(sample.video_id for sample in samples),
        labels=_labels(samples, len(classes), multi_label=plan.config.multi_label),
        views=np.array(clips.view_counts),
        quarantined=len(videos) - len(samples),
        networks=_network_scores(said, scored, weights),
    )
    write_scores(output, scores)


def _load(name: str, config: StageConfig, clips: EvaluationClips, weights: Path) -> _Scored:
    """Return a trained network of the stage with its weights, and what it takes and costs."""
    block = config.networks[name]
    kinds = {modality: clips.stores[modality].info.kind for modality in block.modalities}
    shape = clip_shape(block, config.clip, kinds)
    network = build_network(block, shape, classes=clips.class_count)
    hand_over(network, read_weights(weights, name), reset_head=False, source=f"{weights}: {name}")
    views = [(clips.frames, shape.channels[modality], clips.side, clips.side) for modality in block.modalities]
    return _Scored(network, inputs_of(block, kinds), gflops_per_clip(network, *views))


def _network_scores(said: ViewScores, scored: Mapping[str, _Scored], weights: Path) -> dict[str, NetworkScores]:
    """Return what networks, and parts of them, said, with what they cost; raises InputError for what is not finite."""
    networks = {}
    for reference, logits in said.logits.items():
        if not logits.isfinite().all():
            raise InputError(
                f"network {reference} gives scores that are not finite",
                file=weights,
                hint="train it with precision: full",
            )
        one = scored[reference.partition(".")[0]]
        choices = said.choices.get(reference)
        networks[reference] = NetworkScores(
            logits=logits.numpy(),
            parameters=sum(parameter.numel() for parameter in one.network.parameters()),
            gflops_per_view=one.gflops_per_view,
            choices=None if choices is None else choices.numpy(),
        )
    return networks


def _document(about: Mapping[str, Any], weights: Path) -> StageDocument:
    """Return the stage that the file of weights says it is of; raises InputError where it says nothing of the kind."""
    try:
        return StageDocument.model_validate(about.get("document"))
    except ValidationError as error:
        raise InputError(f"does not say which stage it is of ({error})", file=weights) from error


def _labels(samples: list[Sample], classes: int, *, multi_label: bool) -> np.ndarray:
    """Return class indices (V,), -1 where unknown, or indicators (V, N) of a multi-label data set."""
    if not multi_label:
        return np.array([sample.labels[0] if sample.labels else UNKNOWN for sample in samples], dtype=np.int64)
    labels = np.zeros((len(samples), classes), dtype=np.uint8)
    for row, sample in zip(labels, samples, strict=True):
        row[list(sample.labels)] = 1
    return labels
