"""One stage from files to files: shards and first weights in; weights, history and effective settings out."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mml_core import __version__
from mml_core.annotations import swap_direction_labels
from mml_core.clips import (
    EvaluationClips,
    Sample,
    TrainingClips,
    flip_policy,
    input_channels,
    usable_videos,
)
from mml_core.config.base import digest
from mml_core.config.networks import DOWNLOADED
from mml_core.config.project import TrackerName
from mml_core.data.quality import Quarantined, check_classes, check_share
from mml_core.data.stores import open_stores
from mml_core.errors import InputError
from mml_core.io.files import write_text
from mml_core.networks import HandOver
from mml_core.networks.stage_weights import download_sha256, sha256, stage_sha256, write_weights
from mml_core.objectives import build_objective
from mml_core.plan.stages import STAGE_SPLITS, DataPlan, Init, StageDocument
from mml_core.shards import ModalityStore
from mml_core.training.build import FirstWeights, build_members
from mml_core.training.curves import read_curves
from mml_core.training.engine import Trainer
from mml_core.training.history import history_digest, write_history, write_tensorboard
from mml_core.training.processes import ALONE, Processes
from mml_core.training.trackers import Follow, Training, tracked
from mml_core.training.validation import VALIDATION_PROTOCOL, validation_of


@dataclass(frozen=True)
class StageFiles:
    """Where a stage's inputs and outputs are."""

    shards: Path  # folder with a folder of shards for each modality
    first_weights: FirstWeights  # for networks, or parts of them, that do not start at random
    weights: Path
    history: Path
    config: Path
    state: Path  # folder that outlives a failed job
    histories: Mapping[str, Path] = field(default_factory=dict)  # of networks whose losses the objective learns from


@dataclass(frozen=True)
class StageData:
    """A stage's clips with what is known of them."""

    classes: tuple[str, ...]
    stores: Mapping[str, ModalityStore]
    training: TrainingClips
    validation: EvaluationClips


def train_stage(
    document: StageDocument,
    plan: DataPlan,
    files: StageFiles,
    *,
    device: torch.device,
    workers: int,
    code: str,
    processes: Processes = ALONE,
    tracker: TrackerName = "none",
) -> None:
    """Train the stage that `document` describes and write its outputs; `code` stands for the program's version.

    All of `processes` call this together. One of them writes the outputs, once the others have done their part.

    Raises InputError for inputs that do not fit the document, Stopped where the process was asked to stop.
    """
    data = open_stage_data(document, plan, files.shards)
    origins = {
        ".".join(filter(None, key)): _origin(document.inits[key[0]][key[1]], path)
        for key, path in sorted(files.first_weights.items())
    }
    config = document.config
    curves = read_curves(files.histories, config.objective.histories)
    told = [json.dumps(curves, sort_keys=True)] if curves else []
    fingerprint = _fingerprint(document, origins, data.stores, [code, torch.__version__, device.type, *told])
    kinds = {modality: store.info.kind for modality, store in data.stores.items()}
    members = build_members(document, files.first_weights, kinds, classes=len(data.classes), device=device)
    told_as = Training(document.dataset, files.history.parent.name, document.config.model_dump(mode="json"))
    with tracked(tracker if processes.leads else "none", told_as) as follow:
        trainer = Trainer(
            members,
            build_objective(config.objective, multi_label=plan.config.multi_label, curves=curves),
            config,
            data.training,
            validation_of(data.validation, members.trained, config.float16_in_testing, device, workers, processes),
            functools.partial(_record_epoch, files.history.parent / "tensorboard", follow),
            state_folder=files.state,
            fingerprint=fingerprint,
            device=device,
            workers=workers,
            processes=processes,
        )
        where = describe(device) + (f", {processes.count} processes" if processes.count > 1 else "")
        print(
            f"{len(members.trained)} network(s) to train, {len(data.training)} training videos, "
            f"{len(data.validation)} for validation, {config.epochs} epochs of {trainer.steps} steps on {where}",
            flush=True,
        )
        if trainer.objective.computed:
            print(f"objective: {json.dumps(trainer.objective.computed)}", flush=True)
        history = trainer.run()
    if processes.leads:
        _write_outputs(document, files, data, members.handed_over, origins, trainer, history)
    processes.wait()


def _write_outputs(
    document: StageDocument,
    files: StageFiles,
    data: StageData,
    handed_over: Mapping[str, Mapping[str, HandOver]],
    origins: Mapping[str, str],
    trainer: Trainer,
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Write weights, history and effective settings, and remove the state."""
    about = {
        "document": document.model_dump(mode="json"),
        "classes": list(data.classes),
        "networks": {name: _about(name, document, data, handed_over) for name in document.config.networks},
        # float16 is used on GPUs only, so a network trained there is not the same as one trained on a CPU
        "device": {
            "type": trainer.device.type,
            "float16": trainer.half is torch.float16,
            "processes": trainer.processes.count,
        },
        "software": {"mml_core": __version__, "torch": torch.__version__, "torchvision": version("torchvision")},
        "first_weights": dict(origins),
    }
    if trainer.diverged:
        about["diverged"] = trainer.diverged
    if trainer.objective.computed:
        about["computed"] = dict(trainer.objective.computed)
    write_history(files.history, history)
    write_weights(files.weights, {name: network.state_dict() for name, network in trainer.networks.items()}, about)
    # also the receipt of weights and history: rules compare this small file by content
    effective = {**about, "weights_sha256": sha256(files.weights), "history_sha256": history_digest(history)}
    write_text(files.config, json.dumps(effective, indent=1, sort_keys=True) + "\n")
    shutil.rmtree(files.state, ignore_errors=True)


def _origin(init: Init, path: Path) -> str:
    """Return the SHA-256 of the weights that a network starts from; those that the workflow made are verified."""
    if init.source == "stage":
        return stage_sha256(path)
    return download_sha256(path) if init.source in DOWNLOADED else sha256(path)


def open_stage_data(document: StageDocument, plan: DataPlan, shards: Path) -> StageData:
    """Open the shards of the stage's modalities and return its clips.

    Raises InputError where the data set is no longer the one that the stage was planned for.
    """
    dataset = plan.config
    if not _is_planned(plan, document):
        raise InputError(
            f"data set {dataset.name!r} changed since the workflow was planned", hint="run snakemake again"
        )
    stores = open_stores(plan, shards, document.modalities, STAGE_SPLITS)
    samples = {split: [Sample(v.video_id, v.labels, v.segments) for v in plan.videos(split)] for split in STAGE_SPLITS}
    _check_quality(plan, stores)
    usable = {split: usable_videos(stores, samples[split]) for split in STAGE_SPLITS}
    if not usable["train"]:
        raise InputError(f"no usable training video in data set {dataset.name!r}", hint="see data_quality.csv")
    if document.config.watches_validation and not usable["validation"]:
        raise InputError(
            f"no usable video for validation in data set {dataset.name!r}, which schedule plateau looks at",
            hint="see data_quality.csv",
        )
    classes = plan.annotations.classes
    config = document.config
    flip = flip_policy(dataset.horizontal_flip, swap_direction_labels(classes))
    shape: dict[str, Any] = {"class_count": len(classes), "multi_label": dataset.multi_label}
    return StageData(
        classes,
        stores,
        TrainingClips(stores, usable["train"], config.clip, flip=flip, seed=config.seed, **shape),
        EvaluationClips(stores, usable["validation"], config.clip, VALIDATION_PROTOCOL, **shape),
    )


def _is_planned(plan: DataPlan, document: StageDocument) -> bool:
    """Return whether the data set is the one that the stage was planned for."""
    watched = document.validation_digest
    return plan.digest == document.data_digest and watched in (None, plan.labels_digest("validation"))


def _check_quality(plan: DataPlan, stores: Mapping[str, ModalityStore]) -> None:
    """Refuse to train on a data set of which too many videos are quarantined, or all that show a class."""
    faults = {video: (name, reason) for name, store in stores.items() for video, reason in store.quarantined.items()}
    for split in STAGE_SPLITS:
        videos = plan.videos(split)
        rows = [
            Quarantined(plan.config.name, split, v.video_id, v.path, *faults[v.video_id])
            for v in videos
            if v.video_id in faults
        ]
        check_share(rows, {split: len(videos)}, plan.config.limits.max_quarantined_share)
    check_classes(plan, {video: reason for video, (_, reason) in faults.items()})


def _record_epoch(folder: Path, follow: Follow, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the history's `rows` of one epoch, and add them to the TensorBoard log in `folder`, begun at epoch 1.

    follow: what another tracker takes them by.
    """
    for row in rows:
        shown = ("loss", "train_top1", "validation_loss", "validation_top1")
        values = {key: row[key] for key in shown if key in row}
        told = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
        print(f"epoch {row['epoch']} {row['network']}: {told}", flush=True)
    if rows[0]["epoch"] == 1:
        shutil.rmtree(folder, ignore_errors=True)
    write_tensorboard(folder, rows)
    follow(rows)


def _about(
    name: str, document: StageDocument, data: StageData, handed_over: Mapping[str, Mapping[str, HandOver]]
) -> dict[str, Any]:
    block, clip = document.config.networks[name], document.config.clip
    kinds = {modality: data.stores[modality].info.kind for modality in block.modalities}
    return {
        **block.model_dump(mode="json"),
        "kinds": kinds,
        "channels": {modality: input_channels(kind, clip.stack) for modality, kind in kinds.items()},
        "frames": clip.frames,
        "segments": clip.segments,
        "crop_px": clip.crop_px,
        "classes": len(data.classes),
        "init": {part: init.model_dump(mode="json") for part, init in document.inits[name].items()},
        "hand_over": {part: one._asdict() for part, one in handed_over[name].items()},
    }


def _fingerprint(
    document: StageDocument, weights: Mapping[str, str], stores: Mapping[str, ModalityStore], program: list[str]
) -> str:
    """Return a digest of all that defines the result: settings, first weights, shards, program and device."""
    shards = {name: store.checksums for name, store in sorted(stores.items())}
    return digest([document.model_dump(mode="json"), dict(weights), shards, program], 64)


def describe(device: torch.device) -> str:
    """Return the device in words."""
    if device.type == "cuda":
        return f"GPU {torch.cuda.get_device_name(device)}"
    return f"the CPU ({torch.get_num_threads()} threads)"
