"""Scoring one stage from files to files: its weights and the shards of one split in, a scores file out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from mml_core.clips import EvaluationClips, Sample, input_channels, usable_videos
from mml_core.config.tables import ProtocolConfig
from mml_core.data.stores import open_stores
from mml_core.errors import InputError
from mml_core.evaluation.scores import UNKNOWN, NetworkScores, Scores, views_per_video, write_scores
from mml_core.networks import build_network, gflops_per_clip, hand_over
from mml_core.networks.predict import score_videos
from mml_core.networks.stage_weights import read_about, read_weights, stage_sha256
from mml_core.plan.stages import DataPlan, StageDocument


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
    clip = document.config.clip
    stores = open_stores(plan, shards, document.scored_modalities(), [split])
    videos = plan.videos(split)
    samples = usable_videos(stores, [Sample(video.video_id, video.labels) for video in videos])
    if not samples:
        raise InputError(
            f"no usable video of split {split!r} in data set {plan.config.name!r}", hint="see data_quality.csv"
        )
    classes = tuple(about["classes"])
    clips = EvaluationClips(
        stores, samples, clip, protocol, class_count=len(classes), multi_label=plan.config.multi_label
    )
    networks, inputs, gflops = {}, {}, {}
    side = clips[0].inputs[next(iter(stores))].shape[-1]
    for name in document.config.trained:
        block = document.config.networks[name]
        kind = stores[block.modality].info.kind
        channels = input_channels(kind, clip.stack)
        network = build_network(block, frames=clip.frames, channels=channels, classes=len(classes))
        hand_over(network, read_weights(weights, name), reset_head=False, source=f"{weights}: {name}")
        gflops[name] = gflops_per_clip(network, (clip.frames, channels, side, side))
        networks[name] = network.to(device, memory_format=network.memory_format)
        inputs[name] = (block.modality, kind)
    views = views_per_video(protocol)
    logits = score_videos(
        networks,
        inputs,
        clips,
        views=views,
        device=device,
        workers=workers,
        mixed=document.config.precision == "mixed",
    )
    for name, values in logits.items():
        if not values.isfinite().all():
            raise InputError(
                f"network {name} gives scores that are not finite", file=weights, hint="train it with precision: full"
            )
    scores = Scores(
        stage=weights.parent.name,
        split=split,
        protocol=protocol,
        crop_px=clip.crop_px,
        classes=classes,
        video_ids=tuple(sample.video_id for sample in samples),
        labels=_labels(samples, len(classes), multi_label=plan.config.multi_label),
        quarantined=len(videos) - len(samples),
        networks={
            name: NetworkScores(
                logits=logits[name].numpy(),
                modality=inputs[name][0],
                parameters=sum(parameter.numel() for parameter in networks[name].parameters()),
                gflops_per_view=gflops[name],
            )
            for name in networks
        },
    )
    write_scores(output, scores)


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
