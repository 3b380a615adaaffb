"""Scoring one stage from files to files: its weights and the shards of one split in, a scores file out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mml_core.clips import EvaluationClips, Sample, view_shape
from mml_core.config.networks import NetworkBase
from mml_core.config.protocols import ProtocolConfig
from mml_core.errors import InputError
from mml_core.evaluation.costs import means_of_videos
from mml_core.evaluation.flow_reading import flow_costs
from mml_core.evaluation.loading import TrainedStage, load_network, open_stage, split_clips
from mml_core.evaluation.network_scores import NetworkScores
from mml_core.evaluation.scores import UNKNOWN, Scores, write_scores
from mml_core.networks import VideoNetwork
from mml_core.networks.cost import cost_of_scores
from mml_core.networks.inputs import Input
from mml_core.networks.predict import ViewScores, score_videos
from mml_core.plan.stages import DataPlan


class _Scored(NamedTuple):
    """A network that is scored."""

    config: NetworkBase
    network: VideoNetwork
    inputs: tuple[Input, ...]
    view: tuple[tuple[int, int, int, int], ...]  # shape (S * T, C, H, W) of each input; of sound (S, 1, 1, W)


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
    """Score `split` with all networks of the stage whose weights are at `weights`, and write the scores to `output`.

    Networks of which all inputs are missing under `protocol` are left out.
    """
    stage = open_stage(weights)
    clips = split_clips(stage, plan, shards, split, protocol)
    config, samples = stage.document.config, clips.samples
    shapes = {
        name: view_shape(
            kind, config.clip, protocol.segments_of(config.clip), clips.side, plan.config.sample_rate_hz(name)
        )
        for name, kind in stage.tested_kinds.items()
    }
    scored = {name: _load(stage, name, clips, shapes) for name in config.scored(protocol.missing)}
    said = (
        _nothing_said(stage, list(scored), clips)
        if stage.diverged
        else score_videos(
            {name: one.network.to(device, memory_format=one.network.memory_format) for name, one in scored.items()},
            {name: one.inputs for name, one in scored.items()},
            clips,
            device=device,
            workers=workers,
            mixed=config.float16_in_testing,
            missing={name: shapes[name] for name in clips.absent},
        )
    )
    scores = Scores(
        split=split,
        protocol=protocol,
        crop_px=config.clip.crop_px,
        classes=stage.classes,
        video_ids=tuple(sample.video_id for sample in samples),
        labels=_labels(samples, len(stage.classes), multi_label=plan.config.multi_label),
        views=np.array(clips.view_counts),
        quarantined=len(plan.videos(split)) - len(samples),
        networks=_network_scores(said, scored, weights, clips),
        modalities=tuple(stage.document.scored_modalities()),
        diverged=stage.diverged,
    )
    write_scores(output, scores)


def _nothing_said(stage: TrainedStage, names: Collection[str], clips: EvaluationClips) -> ViewScores:
    """Return zeros for the networks `names` of a stage whose training diverged: nothing that passes for a result."""
    references = [one for one in stage.document.config.references if one.partition(".")[0] in names]
    nothing = torch.zeros(sum(clips.view_counts), len(stage.classes))
    return ViewScores(dict.fromkeys(references, nothing), {})


def _load(
    stage: TrainedStage, name: str, clips: EvaluationClips, shapes: Mapping[str, tuple[int, int, int, int]]
) -> _Scored:
    """Return a trained network of the stage with its weights, and what it takes; `shapes` of a view by modality."""
    network, inputs, _ = load_network(stage, name, clips)
    return _Scored(stage.document.config.networks[name], network, inputs, tuple(shapes[one.modality] for one in inputs))


def _network_scores(
    said: ViewScores, scored: Mapping[str, _Scored], weights: Path, clips: EvaluationClips
) -> dict[str, NetworkScores]:
    """Return what networks, and parts of them, said, with what they cost; raises InputError for what is not finite."""
    networks = {}
    for reference, logits in said.logits.items():
        if not logits.isfinite().all():
            raise InputError(
                f"network {reference} gives scores that are not finite",
                file=weights,
                hint="train it with precision: full",
            )
        name, _, part = reference.partition(".")
        one, choices = scored[name], said.choices.get(reference)
        networks[reference] = NetworkScores(
            logits.numpy(),
            **_costs(one, part, None if choices is None else choices.numpy(), clips),
        )
    return networks


def _costs(one: _Scored, part: str, choices: np.ndarray | None, clips: EvaluationClips) -> dict[str, Any]:
    """Return what the scores of `part` of a network take, given its `choices` (R, S, M)."""
    cost, read = cost_of_scores(one.network, part, *one.view), one.config.read_for(part)
    if choices is None:
        return {"parameters": cost.parameters, "gflops_per_view": cost.gflops, "flow": flow_costs(clips, read, {})}
    options = one.config.choices
    used = {name: choices[..., options.index(name)] for name in one.config.read_where_chosen}
    return {
        "parameters": cost.parameters,
        "gflops_per_view": means_of_videos(cost.by_choices(choices), np.array(clips.view_counts)),
        "choices": choices,
        "options": options,
        "flow": flow_costs(clips, read, used),
    }


def _labels(samples: list[Sample], classes: int, *, multi_label: bool) -> np.ndarray:
    """Return class indices (V,), -1 where unknown, or indicators (V, N) of a multi-label data set."""
    if not multi_label:
        return np.array([sample.labels[0] if sample.labels else UNKNOWN for sample in samples], dtype=np.int64)
    labels = np.zeros((len(samples), classes), dtype=np.uint8)
    for row, sample in zip(labels, samples, strict=True):
        row[list(sample.labels)] = 1
    return labels
