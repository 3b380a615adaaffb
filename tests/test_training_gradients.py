"""Objectives that change gradients: once a step, over all of its groups and processes, exactly resumed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from safetensors.torch import load_file
from test_training_engine import same, train
from torch import Tensor
from watched import StopAt

import mml_core.training.engine as engine
import mml_core.training.job as job
import mml_core.training.learners as learners
from mml_core.config.dataset import DatasetConfig
from mml_core.networks import Prediction
from mml_core.objectives import ClipSums, Step
from mml_core.objectives.cross_entropy import CrossEntropy
from mml_core.runtime.cli import Stopped
from mml_core.training.gradients import told_step
from mml_core.training.job import StageFiles
from mml_core.training.processes import ALONE, Processes

PLAIN = {"groups": "plain", "momentum": 0, "weight_decay": 0, "clip_norm": None, "learning_rate": 0.05}
STAGE = {"networks": {"x": toy.RGB}, "optimizer": PLAIN}


class Changing(CrossEntropy):
    """Cross-entropy whose gradients are multiplied by `factor`, with `noise` of that deviation added; it remembers."""

    changes_gradients = True

    def __init__(self, factor: float = 1.0, noise: float = 0.0) -> None:
        super().__init__(heads=(), multi_label=False)
        self.factor, self.noise = factor, noise
        self.sums: list[dict[str, float]] = []
        self.epochs: list[int] = []
        self.drawn: list[float] = []
        self.gradients: list[Tensor] = []

    def measured(self, predictions: Mapping[str, Prediction], targets: Tensor) -> ClipSums:
        assert list(predictions) == ["x"]
        return {"x": {"clips": torch.tensor(float(len(targets))), "second": targets.sum().float()}}

    def change_gradients(self, step: Step) -> None:
        self.sums.append({key: value.item() for key, value in step.sums["x"].items()})
        self.epochs.append(step.epoch)
        self.drawn.append(torch.rand((), generator=step.generator).item())
        self.gradients.append(step.networks["x"].conv1.weight.grad.clone())
        for parameter in step.networks["x"].parameters():
            noise = torch.randn(parameter.shape, generator=step.generator)
            parameter.grad.mul_(self.factor).add_(noise, alpha=self.noise)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


@pytest.fixture
def lab(dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(name: str, objective: Changing | None, stop_after: int | None = None, **settings: Any) -> StageFiles:
        stage = toy.plan(dataset[0], {"one": {**STAGE, **settings}})["one"]
        where = toy.stage_files(tmp_path / name, dataset[1])
        with monkeypatch.context() as patch:
            if objective is not None:
                patch.setattr(job, "build_objective", lambda *_, **__: objective)
            if stop_after is not None:
                patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(stop_after))
            train(stage, dataset[0], where)
        return where

    return run


def test_gradients_that_are_left_as_they_are_give_the_same_bits(lab: Any) -> None:
    assert same(lab("plain", None).weights, lab("left", Changing()).weights)


def test_half_the_gradient_is_half_the_learning_rate(lab: Any) -> None:
    slow = {"optimizer": {**PLAIN, "learning_rate": 0.025}}
    assert same(lab("slow", None, **slow).weights, lab("half", Changing(factor=0.5)).weights)


def test_clipping_comes_afterwards(lab: Any) -> None:
    clipped = {"optimizer": {**PLAIN, "clip_norm": 1e-3}}
    small, large = Changing(), Changing(factor=1024.0)
    one, two = (load_file(lab(name, made, **clipped).weights) for name, made in (("small", small), ("large", large)))
    assert all(torch.allclose(value.double(), two[key].double(), atol=1e-5) for key, value in one.items())
    assert small.gradients[0].norm() > 1e-3, "it is clipped"


@pytest.mark.parametrize("micro", [None, 2, 5])
def test_it_is_asked_once_a_step_with_sums_over_all_groups(lab: Any, micro: int | None) -> None:
    asked = Changing()
    lab(f"groups of {micro}", asked, batch_size=10, micro_batch_size=micro)
    assert asked.sums == [{"clips": 10.0, "second": 5.0}] * 2, (
        "10 clips, half of the second class, in one step an epoch"
    )
    assert asked.epochs == [0, 1]


def test_chance_is_a_function_of_seed_and_step(lab: Any) -> None:
    first, second, other = Changing(noise=1e-3), Changing(noise=1e-3), Changing(noise=1e-3)
    one, two, three = lab("one", first), lab("two", second), lab("three", other, seed=1)
    assert first.drawn == second.drawn
    assert len({*first.drawn, *other.drawn}) == 8, "four steps of each seed"
    assert same(one.weights, two.weights)
    assert not same(one.weights, three.weights)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_stopped_at_any_step_and_resumed_gives_the_same_bits(lab: Any, steps: int) -> None:
    undisturbed = lab("whole", Changing(noise=1e-2))
    with pytest.raises(Stopped):
        lab("parts", Changing(noise=1e-2), stop_after=steps)
    assert same(undisturbed.weights, lab("parts", Changing(noise=1e-2)).weights)


def test_in_mixed_precision_gradients_have_their_own_scale(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor, where scaling by a power of two changes nothing but the scale."""
    plain, scaled = Changing(), Changing()
    one = lab("float32", plain)
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(learners.torch.amp, "GradScaler", lambda device, enabled: scaler(device, init_scale=2.0**10))
    two = lab("scaled", scaled)
    assert all(torch.equal(*pair) for pair in zip(plain.gradients, scaled.gradients, strict=True))
    assert same(one.weights, two.weights)


class Both(Processes):
    """The first of two processes that measure the same."""

    def sum(self, values: Tensor) -> Tensor:
        return values.mul_(2)


def test_sums_are_over_groups_and_processes() -> None:
    groups = [
        {"x": {"a": torch.tensor(1.0), "b": torch.tensor(2.0)}},
        {"x": {"a": torch.tensor(4.0), "b": torch.tensor(8.0)}},
    ]
    told = [told_step({}, groups, (7, 3, 20), torch.device("cpu"), one) for one in (ALONE, Both(0, 2))]
    assert [{key: value.item() for key, value in one.sums["x"].items()} for one in told] == [
        {"a": 5.0, "b": 10.0},
        {"a": 10.0, "b": 20.0},
    ]
    assert told[0].epoch == 3
    assert torch.rand((), generator=told[0].generator) == torch.rand((), generator=told[1].generator)
