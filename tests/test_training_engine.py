"""Training a stage from files to files: outputs, hand-over, exact resume, and what stops it."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from job_server import folder_of_python
from safetensors.torch import load_file
from watched import StopAt

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.networks.stage_weights import read_about, read_weights
from mml_core.objectives import Losses, Objective
from mml_core.plan.stages import Stage, StageDocument
from mml_core.runtime.cli import EXIT_STOPPED, Stopped
from mml_core.shards import ModalityStore
from mml_core.training.job import StageFiles, _fingerprint, open_stage_data, train_stage
from mml_core.training.processes import ALONE
from mml_core.training.sums import Sums

pytestmark = pytest.mark.long
PAIR = {"networks": {"x": toy.RGB, "y": toy.RGB}, "objective": "mutual"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


def train(stage: Stage, dataset: DatasetConfig, where: StageFiles, *, workers: int = 0, code: str = "") -> None:
    train_stage(stage.document, toy.data_plan(dataset), where, device=torch.device("cpu"), workers=workers, code=code)


def trained(stage: Stage, dataset: tuple[DatasetConfig, Path], folder: Path, **more: Any) -> StageFiles:
    where = toy.stage_files(folder, dataset[1])
    train(stage, dataset[0], where, **more)
    return where


def same(first: Path, second: Path) -> bool:
    one, two = load_file(first), load_file(second)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.fixture
def pair(dataset: tuple[DatasetConfig, Path]) -> Stage:
    return toy.plan(dataset[0], {"pair": PAIR})["pair"]


def test_outputs_describe_themselves(pair: Stage, dataset: tuple[DatasetConfig, Path], tmp_path: Path) -> None:
    where = trained(pair, dataset, tmp_path)
    about = read_about(where.weights)
    assert StageDocument.model_validate(about["document"]) == pair.document
    assert about["classes"] == ["a", "b"]
    assert about["networks"]["x"]["channels"] == {"rgb": 3}
    assert json.loads(where.config.read_text())["document"]["config"]["epochs"] == 2
    assert set(read_weights(where.weights, "x")) == set(read_weights(where.weights, "y"))
    with where.history.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["network"], row["step"]) for row in rows] == [
        ("1", "x", "2"),
        ("1", "y", "2"),
        ("2", "x", "4"),
        ("2", "y", "4"),
    ]
    for row in rows:
        total = float(row["cross_entropy"]) + float(row["divergence"])
        assert float(row["loss"]) == pytest.approx(total, abs=1e-5)
        assert 0 <= float(row["validation_top1"]) <= 100
    assert list((tmp_path / "tensorboard" / "x").glob("events*"))
    assert not where.state.exists(), "the state has served its purpose"


def test_networks_of_a_stage_start_differently(
    pair: Stage, dataset: tuple[DatasetConfig, Path], tmp_path: Path
) -> None:
    where = trained(pair, dataset, tmp_path)
    x, y = read_weights(where.weights, "x"), read_weights(where.weights, "y")
    assert not torch.equal(x["conv1.weight"], y["conv1.weight"])


def test_learning_makes_the_loss_fall(dataset: tuple[DatasetConfig, Path], tmp_path: Path) -> None:
    stage = toy.plan(dataset[0], {"ce": {"networks": {"rgb": {**toy.RGB, "dropout": 0}}, "epochs": 6}})["ce"]
    where = trained(stage, dataset, tmp_path)
    with where.history.open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])


def test_the_same_stage_gives_the_same_bits_whatever_the_workers(
    pair: Stage, dataset: tuple[DatasetConfig, Path], tmp_path: Path
) -> None:
    first = trained(pair, dataset, tmp_path / "1")
    second = trained(pair, dataset, tmp_path / "2", workers=2)
    assert first.weights.read_bytes() == second.weights.read_bytes()


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_stopped_at_any_step_and_resumed_gives_the_same_bits(
    pair: Stage, dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    undisturbed = trained(pair, dataset, tmp_path / "whole")
    where = toy.stage_files(tmp_path / "parts", dataset[1])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(steps - 1))
        with pytest.raises(Stopped, match=f"epoch {(steps + 1) // 2}, step {(steps - 1) % 2 + 1}"):
            train(pair, dataset[0], where)
    assert not where.weights.exists()
    train(pair, dataset[0], where)
    assert same(undisturbed.weights, where.weights)
    without_seconds = [
        [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]
        for path in (undisturbed.history, where.history)
    ]
    assert without_seconds[0] == without_seconds[1]


def test_state_of_other_settings_code_or_weights_is_not_resumed(
    pair: Stage,
    dataset: tuple[DatasetConfig, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = toy.stage_files(tmp_path, dataset[1])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(2))
        with pytest.raises(Stopped):
            train(pair, dataset[0], where)
    train(pair, dataset[0], where, code="another program")
    assert "belongs to other settings, weights or data: starting over" in capsys.readouterr().out


def test_state_of_another_device_is_not_resumed(
    pair: Stage, dataset: tuple[DatasetConfig, Path], tmp_path: Path
) -> None:
    stores = open_stage_data(pair.document, toy.data_plan(dataset[0]), dataset[1]).stores
    prints = {device: _fingerprint(pair.document, {}, stores, [device]) for device in "ab"}
    assert prints["a"] != prints["b"]


def test_too_many_quarantined_videos_are_refused(
    pair: Stage, dataset: tuple[DatasetConfig, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {"t0.mp4": "broken", "t1.mp4": "broken"}
    monkeypatch.setattr(ModalityStore, "quarantined", property(lambda store: reasons))
    with pytest.raises(InputError, match=r"2 of 10 videos of split train"):
        open_stage_data(pair.document, toy.data_plan(dataset[0]), dataset[1])


def test_a_class_without_usable_training_videos_is_refused(
    pair: Stage, dataset: tuple[DatasetConfig, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = toy.data_plan(dataset[0])
    lost = {video.video_id: "broken" for video in plan.videos("train") if video.labels == (1,)}
    monkeypatch.setattr(ModalityStore, "quarantined", property(lambda store: lost))
    limits = dataset[0].limits.model_copy(update={"max_quarantined_share": 1.0})
    plan = toy.data_plan(dataset[0].model_copy(update={"limits": limits}))
    with pytest.raises(InputError, match=rf"1 class.*[\s\S]*class '{plan.annotations.classes[1]}', \S+: broken"):
        open_stage_data(pair.document, plan, dataset[1])


def test_damaged_state_is_not_resumed(
    pair: Stage, dataset: tuple[DatasetConfig, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = toy.stage_files(tmp_path, dataset[1])
    where.state.mkdir(parents=True)
    (where.state / "state.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      half")
    train(pair, dataset[0], where)
    assert "starting over" in capsys.readouterr().out
    assert where.weights.exists()


def test_weights_are_handed_over_between_modalities(dataset: tuple[DatasetConfig, Path], tmp_path: Path) -> None:
    flow = {"modality": "flow", "init": "first.rgb", "backbone": "resnet_tiny"}
    stages = toy.plan(dataset[0], {"first": {"networks": {"rgb": toy.RGB}}, "second": {"networks": {"flow": flow}}})
    first = trained(stages["first"], dataset, tmp_path / "1")
    second = toy.stage_files(tmp_path / "2", dataset[1], {"flow": first.weights})
    train(stages["second"], dataset[0], second)
    about = read_about(second.weights)
    changes = {"converted_input": True, "inflated": False, "new_head": False}
    assert about["networks"]["flow"]["hand_over"] == {"": changes}, "of the whole network"
    assert read_weights(second.weights, "flow")["conv1.weight"].shape[1] == 4  # 2 fields of x and y
    assert len(about["first_weights"]["flow"]) == 64


class Explodes(Objective):
    """A loss that is not finite for one network."""

    def forward(self, predictions: dict[str, Any], targets: torch.Tensor, teachers: dict[str, Any]) -> Losses:
        return {
            "x": {"sum": predictions["x"].logits.sum()},
            "y": {"sum": predictions["y"].logits.sum(), "more": predictions["y"].logits.sum() * math.nan},
        }


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_videos(
    pair: Stage, dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mml_core.training.job.build_objective", lambda *_, **__: Explodes())
    with pytest.raises(InputError, match=r"epoch 1, step 1 \(y nan\); videos of the batch: t\d\.mp4, ") as caught:
        trained(pair, dataset, tmp_path)
    assert "learning_rate" in str(caught.value)


def test_a_data_set_that_changed_after_planning_is_refused(
    pair: Stage, dataset: tuple[DatasetConfig, Path], tmp_path: Path
) -> None:
    document = pair.document.model_copy(update={"data_digest": "other"})
    with pytest.raises(InputError, match="changed since the workflow was planned"):
        train_stage(
            document,
            toy.data_plan(dataset[0]),
            toy.stage_files(tmp_path, dataset[1]),
            device=torch.device("cpu"),
            workers=0,
            code="",
        )


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, Path, Path, Path]:
    """A stage of 60 steps, the data set's plan for the script, the folder of its shards, and undisturbed weights."""
    folder = tmp_path_factory.mktemp("long")
    dataset = toy.make_dataset(folder)
    stage = toy.plan(dataset, {"long": {**PAIR, "epochs": 30}})["long"]
    undisturbed = trained(stage, (dataset, folder / "shards"), folder / "whole")
    return stage, toy.write_plan(dataset, folder), folder / "shards", undisturbed.weights


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_killed_process_goes_on_and_ends_with_the_same_bits(
    long_run: tuple[Stage, Path, Path, Path], tmp_path: Path, project: Path, number: signal.Signals
) -> None:
    stage, file, shards, undisturbed = long_run
    where = toy.stage_files(tmp_path / "killed", shards)
    command = [folder_of_python() / "python", *toy.train_command(stage, file, where, project)[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not (where.state / "state.safetensors").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(number)
    output = process.communicate()[0]
    if number == signal.SIGTERM:
        assert process.returncode == EXIT_STOPPED
        assert "state saved" in output
    assert not where.weights.exists()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "going on at epoch" in again.stdout
    assert same(undisturbed, where.weights)


def test_processes_that_go_on_at_the_end_of_an_epoch_sum_the_same_quantities() -> None:
    """The second of two began with none, so that it had nothing to add up when the first did, and both hung."""
    saved = {"net": {"clips": 8.0, "loss": 4.0, "cross_entropy": 4.0, "train_top1": 200.0}}
    first, second = (Sums(saved, torch.device("cpu"), leads=leads) for leads in (True, False))
    assert first.as_dict(ALONE) == saved
    assert second.as_dict(ALONE) == {"net": dict.fromkeys(saved["net"], 0.0)}
