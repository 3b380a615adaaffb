"""A toy data set of shards with random images: what tests of training and scoring run on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mml_core.annotations import load_annotations
from mml_core.config.base import merge, validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.plan.data_file import write_data_plan
from mml_core.plan.stages import DataPlan, Stage, plan_stages
from mml_core.shards.images import encode_planes, encode_rgb
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter
from mml_core.training.job import StageFiles

SIDE = 32

STAGE = {
    "epochs": 2,
    "batch_size": 4,
    "clip": {"frames": 2, "stack": 2, "crop_px": 24, "dense_window": 4},
    "optimizer": {"learning_rate": 0.05},
    "validate_every": 1,
}
RGB = {"modality": "rgb", "init": "random", "backbone": "resnet_tiny"}


def make_dataset(
    folder: Path, *, train: int = 10, validation: int = 4, modalities: Mapping[str, Any] | None = None
) -> DatasetConfig:
    """Write a manifest of two classes and the shards of all modalities below `folder`; return the data set.

    modalities: what the data set says of them; default: what it does by itself, rgb, flow and diff.
    """
    rows = [f"t{i}.mp4,{'ab'[i % 2]},train" for i in range(train)]
    rows += [f"v{i}.mp4,{'ab'[i % 2]},validation" for i in range(validation)]
    (folder / "manifest.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    (folder / "videos").mkdir()
    annotations = {"format": "manifest", "manifest": folder / "manifest.csv", "videos": folder / "videos"}
    document = {"name": "toy", "annotations": annotations, "videos_per_shard": 4}
    if modalities:
        document["modalities"] = modalities
    dataset = validate(DatasetConfig, document, folder / "toy.yaml")
    plan = data_plan(dataset)
    for name, modality in dataset.modalities.items():
        for shard, videos in plan.shards.items():
            info = ShardInfo(modality.kind, name, modality.model_dump(mode="json"))
            with ShardWriter(folder / "shards" / dataset.modality_key(name) / f"{shard}.h5", info) as writer:
                for video in videos:
                    count = 7 if modality.kind == "rgb" else 6
                    images = [_image(video.video_id, name, i, info.channels, video.labels[0]) for i in range(count)]
                    encoded = [_encoded(image, modality.kind) for image in images]
                    writer.add(video.video_id, encoded, height=SIDE, width=SIDE + 8, frame_rate=10.0)
    return dataset


def data_plan(dataset: DatasetConfig) -> DataPlan:
    """Return `dataset` with its annotations."""
    return DataPlan(dataset, load_annotations(dataset, check_files=False))


def write_plan(dataset: DatasetConfig, folder: Path) -> Path:
    """Write the plan of `dataset` into `folder`, for scripts, and return its path."""
    write_data_plan(folder / "plan.json", data_plan(dataset))
    return folder / "plan.json"


def _encoded(image: torch.Tensor, kind: str) -> bytes:
    return encode_rgb(image.permute(1, 2, 0).numpy(), 95) if kind == "rgb" else encode_planes(image.numpy(), 95)


def _image(video: str, modality: str, number: int, channels: int, label: int) -> torch.Tensor:
    """Noise, brighter for the second class, so that there is something to learn."""
    generator = torch.Generator().manual_seed(hash_of(f"{video}/{modality}/{number}"))
    noise = torch.randint(100, 140, (channels, SIDE, SIDE + 8), generator=generator)
    return (noise + 40 * label).to(torch.uint8)


def hash_of(text: str) -> int:
    """A number for `text` that is the same in every process."""
    return int.from_bytes(text.encode()[-7:], "little")


def plan(dataset: DatasetConfig, stages: Mapping[str, Any]) -> dict[str, Stage]:
    """Return the planned `stages`, each laid over STAGE."""
    document = {
        "name": "toy",
        "stages": {name: merge(STAGE, stage) for name, stage in stages.items()},
        "tables": {"ensemble_table": {"protocol": "one_view"}},
    }
    recipe = validate(RecipeConfig, document, Path("toy.yaml"))
    return plan_stages(data_plan(dataset), recipe, Path("toy.yaml"))


def stage_files(folder: Path, shards: Path, first_weights: dict[str, Path] | None = None) -> StageFiles:
    """Return where a training in `folder` keeps its files."""
    return StageFiles(
        shards=shards,
        first_weights={name.partition(".")[::2]: path for name, path in (first_weights or {}).items()},
        weights=folder / "weights.safetensors",
        history=folder / "history.csv",
        config=folder / "config.json",
        state=folder / "state",
    )


def train_command(stage: Stage, plan_file: Path, where: StageFiles, project: Path, *more: str) -> list[str]:
    """Return the command that trains `stage` on the CPU, from random weights, with the arguments `more`."""
    script = project / "workflow" / "scripts" / "train_stage.py"
    options = {
        "--document": stage.document.to_json(),
        "--plan": plan_file,
        "--shards": where.shards,
        "--state": where.state,
        "--device": "cpu",
        "--weights": where.weights,
        "--history": where.history,
        "--config": where.config,
    }
    return [sys.executable, str(script), *(str(word) for pair in options.items() for word in pair), *more]
