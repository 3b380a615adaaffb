"""Trainings that diverge: an error, or the end of the stage with the weights of before, also where it was resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from test_training_engine import Explodes, same, train
from torch import nn
from watched import StopAt, Watched

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.networks.stage_weights import read_about, read_weights
from mml_core.plan.stages import Stage
from mml_core.runtime.cli import Stopped
from mml_core.training.job import StageFiles
from mml_core.training.taken import Diverged, check_validation, check_weights

#: Each step multiplies all weights by about -10 000.
ABSURD = {"learning_rate": 1000, "weight_decay": 10, "momentum": 0, "clip_norm": None, "groups": "plain"}
STAGE = {"networks": {"x": toy.RGB}, "optimizer": ABSURD, "epochs": 20, "diverged": "row", "validate_every": 20}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


def planned(dataset: tuple[DatasetConfig, Path], **settings: Any) -> Stage:
    return toy.plan(dataset[0], {"bad": {**STAGE, **settings}})["bad"]


class Ended(Watched):
    """A training that diverged, with what it was before each of its epochs."""

    def __init__(
        self, patch: pytest.MonkeyPatch, stage: Stage, dataset: tuple[DatasetConfig, Path], folder: Path
    ) -> None:
        super().__init__(patch)
        self.where = toy.stage_files(folder, dataset[1])
        train(stage, dataset[0], self.where)
        self.epoch = read_about(self.where.weights)["diverged"]


@pytest.fixture(scope="module")
def ended(dataset: tuple[DatasetConfig, Path], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    with pytest.MonkeyPatch.context() as patch:
        return Ended(patch, planned(dataset), dataset, tmp_path_factory.mktemp("ended"))


def told(where: StageFiles) -> list[list[str]]:
    """Return the history without its seconds."""
    return [line.split(",")[:-1] for line in where.history.read_text().splitlines()]


def test_the_stage_ends_with_the_weights_from_before_the_epoch(ended: Ended) -> None:
    assert 1 < ended.epoch < 20
    weights, before = read_weights(ended.where.weights, "x"), ended.weights[ended.epoch - 1]
    assert all(torch.equal(value, before[f"x/{name}"]) for name, value in weights.items())
    assert all(value.isfinite().all() for value in weights.values())
    assert [row[0] for row in told(ended.where)] == ["epoch", *map(str, range(1, ended.epoch))]
    assert json.loads(ended.where.config.read_text())["diverged"] == ended.epoch
    assert not ended.where.state.exists()


@pytest.mark.parametrize("steps_before", [0, 1, 2])
def test_stopped_near_the_end_and_resumed_it_ends_the_same(
    ended: Ended,
    dataset: tuple[DatasetConfig, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps_before: int,
) -> None:
    """In the epoch that diverges, at the end of the one before, and within that."""
    stage, where = planned(dataset), toy.stage_files(tmp_path, dataset[1])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(2 * (ended.epoch - 1) - steps_before))
        with pytest.raises(Stopped):
            train(stage, dataset[0], where)
    train(stage, dataset[0], where)
    assert same(ended.where.weights, where.weights)
    assert told(ended.where) == told(where)
    assert read_about(where.weights) == read_about(ended.where.weights)


def test_by_default_it_is_an_error(dataset: tuple[DatasetConfig, Path], tmp_path: Path, ended: Ended) -> None:
    where = toy.stage_files(tmp_path, dataset[1])
    with pytest.raises(InputError, match=f"not finite at epoch {ended.epoch}"):
        train(planned(dataset, diverged="error"), dataset[0], where)
    assert not where.weights.exists()


def test_the_key_changes_no_stage_that_does_not_have_it(dataset: tuple[DatasetConfig, Path]) -> None:
    settings = {key: value for key, value in STAGE.items() if key != "diverged"}
    without = toy.plan(dataset[0], {"bad": settings})["bad"]
    assert planned(dataset, diverged="error").key == without.key != planned(dataset).key
    assert "diverged" not in without.document.to_json()


def test_in_the_first_epoch_the_first_weights_are_left(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mml_core.training.job.build_objective", lambda *_, **__: Explodes())
    stage = planned(dataset, networks={"x": toy.RGB, "y": toy.RGB})
    one = Ended(monkeypatch, stage, dataset, tmp_path)
    assert one.epoch == 1
    assert len(told(one.where)) == 1, "a header alone"
    first = one.weights[0]
    for name in "xy":
        weights = read_weights(one.where.weights, name)
        assert all(torch.equal(value, first[f"{name}/{key}"]) for key, value in weights.items())


def test_weights_and_validations_that_are_not_finite_behind_an_epoch_count() -> None:
    network = nn.BatchNorm1d(2)
    check_weights(3, {"net": network})
    network.running_var[1] = torch.inf
    with pytest.raises(Diverged, match="the weights of net are not finite behind epoch 3") as caught:
        check_weights(3, {"net": network})
    assert caught.value.epoch == 3
    check_validation(2, {"net": {"validation_loss": 1.0}})
    with pytest.raises(Diverged, match="the validation loss of net is not finite behind epoch 2"):
        check_validation(2, {"net": {"validation_loss": float("nan")}})


def test_nothing_starts_from_a_stage_that_may_diverge(dataset: tuple[DatasetConfig, Path]) -> None:
    child = {"networks": {"x": {**toy.RGB, "init": "bad.x"}}}
    with pytest.raises(
        InputError, match=r"stages\.child\.networks\.x\.init: bad\.x may be of a training that diverged"
    ):
        toy.plan(dataset[0], {"bad": STAGE, "child": child})


def test_a_lost_beginning_of_the_epoch_is_told(
    ended: Ended, dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, where = planned(dataset), toy.stage_files(tmp_path, dataset[1])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(2 * (ended.epoch - 1)))
        with pytest.raises(Stopped):
            train(stage, dataset[0], where)
    (where.state / "epoch" / "state.safetensors").unlink()
    with pytest.raises(InputError, match="the state in which the epoch began is lost"):
        train(stage, dataset[0], where)
