"""Networks of different families learn from each other: one step and more on tiny variants, exact resume."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from test_training_engine import same, train
from watched import StopAt

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.networks import swin3d
from mml_core.networks.stage_weights import read_weights
from mml_core.runtime.cli import Stopped

ADAMW = {"kind": "adamw", "learning_rate": 1e-3}
STAGE = {"epochs": 1, "batch_size": 2, "objective": "mutual"}


def net(architecture: str, modality: str = "rgb") -> dict[str, Any]:
    return {"architecture": architecture, "modality": modality, "init": "random"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder, train=4, validation=1), folder / "shards"


def test_a_tsm_and_an_r2plus1d_learn_from_each_other(dataset: tuple[DatasetConfig, Path], tmp_path: Path) -> None:
    """One step, on the same frames, each at its own scale."""
    networks = {"tsm": toy.RGB, "clips": net("r2plus1d_18")}
    stage = toy.plan(dataset[0], {"pair": {**STAGE, "batch_size": 4, "networks": networks}})["pair"]
    blocks = stage.document.config.networks
    assert [blocks[name].scale_of("rgb") for name in networks] == ["imagenet", "torchvision"]
    where = toy.stage_files(tmp_path, dataset[1])
    train(stage, dataset[0], where)
    with where.history.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == [*networks]
    assert all(math.isfinite(float(row["divergence"])) and float(row["divergence"]) > 0 for row in rows)
    assert set(read_weights(where.weights, "clips")) >= {"stem.0.weight", "layer4.1.conv2.0.3.weight", "fc.bias"}


def test_a_tsm_and_a_transformer_go_on_with_the_same_bits(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flow beside RGB, by AdamW: stochastic depth is drawn again as it was, and the moments are kept."""
    monkeypatch.setitem(swin3d.PLANS, "swin3d_t", swin3d.Plan(12, (1, 1, 2, 1), (1, 2, 4, 8)))
    networks = {"tsm": toy.RGB, "swin": {**net("swin3d_t", "flow"), "stochastic_depth": 0.5}}
    stage = toy.plan(dataset[0], {"pair": {**STAGE, "networks": networks, "optimizer": ADAMW, "epochs": 2}})["pair"]
    whole, stopped = (toy.stage_files(tmp_path / name, dataset[1]) for name in ("whole", "stopped"))
    train(stage, dataset[0], whole)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(2))
        train(stage, dataset[0], stopped)
    train(stage, dataset[0], stopped)
    assert same(whole.weights, stopped.weights)
    state = read_weights(whole.weights, "swin")
    assert not any(name.endswith("relative_position_index") for name in state)
    assert state["patch_embed.proj.weight"].shape == (12, 4, 2, 4, 4)
    assert all(value.isfinite().all() for value in state.values() if isinstance(value, torch.Tensor))
