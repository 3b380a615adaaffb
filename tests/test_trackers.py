"""Trackers: what each is told by a training, what a fault of theirs does, and that they are no part of any result."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import toy

from mml_core.config.project import project_config
from mml_core.errors import InputError
from mml_core.training.job import train_stage
from mml_core.training.trackers import Training, check_tracker, epoch_values, tracked

TRAINING = Training("toy", "one-0123456789", {"epochs": 2})
ROWS = [
    {"epoch": 1, "step": 3, "network": "x", "loss": 0.5, "seconds": 1.0},
    {"epoch": 1, "step": 3, "network": "y", "loss": 0.25, "validation_top1": 50.0},
]


class Fake:
    """A module that keeps what it is called with; the function `broken` fails."""

    def __init__(self, broken: str = "") -> None:
        self.calls: list[tuple[str, tuple, dict[str, Any]]] = []
        self._broken = broken
        self.found: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*words: Any, **named: Any) -> Any:
            self.calls.append((name, words, named))
            if name == self._broken:
                raise ConnectionError("nobody answers")
            return self.found if name == "search_runs" else None

        return call

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


def put(monkeypatch: pytest.MonkeyPatch, name: str, broken: str = "") -> Fake:
    fake = Fake(broken)
    monkeypatch.setitem(sys.modules, name, fake)
    return fake


@pytest.mark.parametrize(("name", "more"), [("trackio", {}), ("wandb", {"id": TRAINING.name})])
def test_trackio_and_wandb(monkeypatch: pytest.MonkeyPatch, name: str, more: dict[str, str]) -> None:
    fake = put(monkeypatch, name)
    with tracked(name, TRAINING) as follow:
        follow(ROWS)
    assert fake.calls[0] == (
        "init",
        (),
        {"project": "toy", "name": TRAINING.name, "config": {"epochs": 2}, "resume": "allow", **more},
    )
    values = {"x/loss": 0.5, "x/seconds": 1.0, "y/loss": 0.25, "y/validation_top1": 50.0}
    assert fake.calls[1:] == [("log", (values,), {"step": 3}), ("finish", (), {})]


def test_mlflow_goes_on_with_the_run_of_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = put(monkeypatch, "mlflow")
    with tracked("mlflow", TRAINING) as follow:
        follow(ROWS)
    assert fake.names == ["set_experiment", "search_runs", "start_run", "log_params", "log_metrics", "end_run"]
    assert fake.calls[2][2] == {"run_name": TRAINING.name, "tags": {"mml.stage": TRAINING.name}}
    assert fake.calls[4][2] == {"step": 3}
    fake.calls.clear()
    fake.found = [SimpleNamespace(info=SimpleNamespace(run_id="abc"))]
    with tracked("mlflow", TRAINING):
        pass
    assert fake.calls[2] == ("start_run", (), {"run_id": "abc"}) and "log_params" not in fake.names


def test_none_takes_rows_and_does_nothing() -> None:
    with tracked("none", TRAINING) as follow:
        assert follow(ROWS) is None
    check_tracker("none")


def test_a_package_that_is_missing_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    with (
        pytest.raises(InputError, match=r"tracker wandb: it cannot be imported .*\n  Hint: pip install wandb"),
        tracked("wandb", TRAINING),
    ):
        pass


def test_a_tracker_that_does_not_start_ends_the_training_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, "wandb", broken="init")
    with (
        pytest.raises(InputError, match=r"wandb does not start \(nobody answers\)\n.*WANDB_MODE=offline"),
        tracked("wandb", TRAINING),
    ):
        pass


@pytest.mark.parametrize("broken", ["log", "finish"])
def test_a_tracker_that_fails_later_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    put(monkeypatch, "trackio", broken)
    with tracked("trackio", TRAINING) as follow:
        follow(ROWS)
    assert capsys.readouterr().out == "WARNING: tracker trackio: ConnectionError: nobody answers\n"


def test_it_is_closed_where_the_training_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = put(monkeypatch, "trackio")
    with pytest.raises(KeyError), tracked("trackio", TRAINING):
        raise KeyError
    assert fake.names == ["init", "finish"]


def test_only_numbers_are_values() -> None:
    assert epoch_values([{"epoch": 1, "step": 1, "network": "x", "loss": 1.0, "note": "odd", "empty": None}]) == {
        "x/loss": 1.0
    }


def test_a_training_is_followed_and_its_weights_are_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = toy.make_dataset(tmp_path)
    stage = toy.plan(dataset, {"one": {"networks": {"x": toy.RGB}}})["one"]
    fake = put(monkeypatch, "trackio")
    found = []
    for name in ("none", "trackio"):
        files = toy.stage_files(tmp_path / name, tmp_path / "shards")
        train_stage(
            stage.document, toy.data_plan(dataset), files, device=torch.device("cpu"), workers=0, code="", tracker=name
        )
        found.append(files.weights.read_bytes())
    assert found[0] == found[1]
    assert fake.names == ["init", "log", "log", "finish"]
    assert fake.calls[0][2]["config"]["epochs"] == 2 and fake.calls[1][1][0]["x/loss"] > 0


def test_the_setting_is_one_of_the_run() -> None:
    assert project_config({"dataset": "d", "recipe": ["r"]}).tracker == "none"
    with pytest.raises(InputError, match="tracker"):
        project_config({"dataset": "d", "recipe": ["r"], "tracker": "neptune"})
