"""Gradient-Blending and OGM-GE through the training engine: weights from histories, exact resume, what is recorded."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import toy
from test_training_engine import same, train
from watched import StopAt

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.networks.stage_weights import read_about
from mml_core.plan.stages import Stage
from mml_core.runtime.cli import Stopped
from mml_core.training.job import StageFiles

STREAMS = ["rgb", "flow"]
FUSED = {
    "architecture": "weighted_fusion",
    "streams": STREAMS,
    "backbones": dict.fromkeys(STREAMS, "resnet_tiny"),
    "init": "random",
}
OGM = {"networks": {"net": FUSED}, "objective": {"kind": "ogm_ge", "alpha": 0.5}}
WEIGHTS = {"rgb": "alone.rgb", "flow": "alone.flow", "all": "joint.net"}
STAGES = {
    "alone": {"networks": {"rgb": toy.RGB, "flow": {**toy.RGB, "modality": "flow"}}},
    "joint": {"networks": {"net": FUSED}},
    "blend": {"networks": {"net": FUSED}, "objective": {"kind": "gradient_blending", "weights": WEIGHTS}},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


def rows(where: StageFiles) -> list[dict[str, str]]:
    with where.history.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("steps", [1, 2])
def test_noise_is_the_same_after_a_stop(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    stage = toy.plan(dataset[0], {"ogm": OGM})["ogm"]
    whole, parts = (toy.stage_files(tmp_path / name, dataset[1]) for name in ("whole", "parts"))
    train(stage, dataset[0], whole)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(steps))
        with pytest.raises(Stopped):
            train(stage, dataset[0], parts)
    train(stage, dataset[0], parts)
    assert same(whole.weights, parts.weights)


def test_noise_and_modulation_make_a_difference(dataset: tuple[DatasetConfig, Path], tmp_path: Path) -> None:
    settings = {"quiet": {"noise": False}, "late": {"epochs": [3, 3]}, "strong": {"alpha": 5.0, "noise": False}}
    found = {}
    for name, more in settings.items():
        block = {**OGM, "objective": {**OGM["objective"], **more}, "epochs": 1}
        found[name] = toy.stage_files(tmp_path / name, dataset[1])
        train(toy.plan(dataset[0], {"ogm": block})["ogm"], dataset[0], found[name])
    plain = toy.stage_files(tmp_path / "plain", dataset[1])
    train(toy.plan(dataset[0], {"ogm": {"networks": {"net": FUSED}, "epochs": 1}})["ogm"], dataset[0], plain)
    assert same(found["late"].weights, plain.weights), "outside of its epochs it is plain cross-entropy"
    assert not same(found["quiet"].weights, plain.weights)
    assert not same(found["quiet"].weights, found["strong"].weights)


@pytest.fixture(scope="module")
def histories(dataset: tuple[DatasetConfig, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, stages = tmp_path_factory.mktemp("stages"), toy.plan(dataset[0], STAGES)
    where = {name: toy.stage_files(folder / name, dataset[1]) for name in ("alone", "joint")}
    for name, files in where.items():
        train(stages[name], dataset[0], files)
    return {reference: where[reference.partition(".")[0]].history for reference in WEIGHTS.values()}


def blend(
    dataset: tuple[DatasetConfig, Path], folder: Path, histories: Mapping[str, Path], **more: Any
) -> tuple[Stage, StageFiles]:
    files = toy.stage_files(folder, dataset[1])
    files = StageFiles(**{**vars(files), "histories": histories})
    stage = toy.plan(dataset[0], {**STAGES, "blend": {**STAGES["blend"], **more}})["blend"]
    train(stage, dataset[0], files)
    return stage, files


def test_weights_are_computed_from_the_histories_and_recorded(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, histories: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, where = blend(dataset, tmp_path, histories)
    computed = json.loads(where.config.read_text())["computed"]
    assert computed == read_about(where.weights)["computed"]
    assert sum(one["weight"] for one in computed.values()) == pytest.approx(1)
    assert "objective: {" in capsys.readouterr().out
    first, last = (row for row in rows(StageFiles(**{**vars(where), "history": histories["joint.net"]})))
    gain = float(first["validation_loss"]) - float(last["validation_loss"])
    floor = 0.01 * float(first["validation_loss"])
    assert computed["all"]["generalisation"] == pytest.approx(max(gain, floor))
    for row in rows(where):
        terms = [float(row[f"cross_entropy_{name}"]) for name in ("all", "flow", "rgb")]
        assert float(row["loss"]) == pytest.approx(sum(terms), abs=1e-5)


def test_a_state_with_weights_from_other_histories_is_not_gone_on_from(
    dataset: tuple[DatasetConfig, Path],
    tmp_path: Path,
    histories: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    slow, changed = tmp_path / "slow.csv", tmp_path / "changed.csv"
    text = histories["joint.net"].read_text().splitlines()
    slow.write_text("\n".join([text[0], *(f"{line.rpartition(',')[0]},99" for line in text[1:])]) + "\n")
    last = rows(StageFiles(**{**vars(toy.stage_files(tmp_path, tmp_path)), "history": slow}))[-1]["validation_loss"]
    changed.write_text(slow.read_text().replace(last, "0.123"))
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(1))
        with pytest.raises(Stopped):
            blend(dataset, tmp_path, histories)
        with pytest.raises(Stopped):
            blend(dataset, tmp_path, {**histories, "joint.net": slow})
        assert "going on at epoch" in capsys.readouterr().out, "seconds make no difference"
    blend(dataset, tmp_path, {**histories, "joint.net": changed})
    assert "starting over" in capsys.readouterr().out


def test_without_a_history_nothing_is_trained(dataset: tuple[DatasetConfig, Path], tmp_path: Path) -> None:
    stage = toy.plan(dataset[0], STAGES)["blend"]
    with pytest.raises(InputError, match="no history was given of alone"):
        train(stage, dataset[0], toy.stage_files(tmp_path, dataset[1]))
