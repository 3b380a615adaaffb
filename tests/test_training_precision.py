"""Training in bfloat16: where it is there, what it changes, exactly resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import load_file
from test_training_engine import same, train
from watched import StopAt

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.runtime.cli import Stopped
from mml_core.training.job import StageFiles
from mml_core.training.precision import half_type

CPU, GPU = torch.device("cpu"), torch.device("cuda")
#: Two networks that learn from each other, in two groups a step.
PAIR = {"networks": {"x": toy.RGB, "y": toy.RGB}, "objective": "mutual", "batch_size": 6, "micro_batch_size": 3}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


def trained(precision: str, dataset: tuple[DatasetConfig, Path], folder: Path) -> StageFiles:
    stage = toy.plan(dataset[0], {"pair": {**PAIR, "precision": precision}})["pair"]
    where = toy.stage_files(folder, dataset[1])
    train(stage, dataset[0], where)
    return where


def test_bfloat16_is_near_float32_and_leaves_weights_in_float32(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path
) -> None:
    full, mixed, half = (trained(one, dataset, tmp_path / one) for one in ("full", "mixed", "bf16"))
    assert same(full.weights, mixed.weights), "float16 is for GPUs"
    whole, rounded = load_file(full.weights), load_file(half.weights)
    assert {value.dtype for value in rounded.values()} == {value.dtype for value in whole.values()}
    assert not same(full.weights, half.weights)
    moved = [(whole[name] - rounded[name]).norm() / whole[name].norm() for name in whole if name.endswith("fc.weight")]
    assert len(moved) == 2 and max(moved) < 0.1
    about = json.loads(half.config.read_text())
    assert about["document"]["config"]["precision"] == "bf16" and about["device"]["float16"] is False


def test_in_bfloat16_a_training_goes_on_exactly(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = trained("bf16", dataset, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(1))
        with pytest.raises(Stopped):
            trained("bf16", dataset, tmp_path / "parts")
    assert same(undisturbed.weights, trained("bf16", dataset, tmp_path / "parts").weights)


def test_types_of_16_bits_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    found = {(one, device.type): half_type(one, device) for one in ("mixed", "bf16", "full") for device in (CPU, GPU)}
    assert {key: value for key, value in found.items() if value} == {
        ("mixed", "cuda"): torch.float16,
        ("bf16", "cpu"): torch.bfloat16,
        ("bf16", "cuda"): torch.bfloat16,
    }


def test_a_gpu_without_bfloat16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")
    with pytest.raises(InputError, match=r"Tesla V100 has no bfloat16\n.*precision: mixed"):
        half_type("bf16", GPU)
