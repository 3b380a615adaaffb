"""Parts that learn in turns or never, Adam, plateaus: what does not learn is left alone, and all go on to the bit."""

from __future__ import annotations

import csv
import itertools
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from test_training_engine import same, train, trained
from two_streams import two_stream_stage
from watched import StopAt, Watched, below, changed

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.plan.stages import Stage
from mml_core.runtime.cli import Stopped
from mml_core.shards import ModalityStore
from mml_core.training.job import StageFiles

ADAM = {"kind": "adam", "learning_rate": 0.01}
STREAMS = ("net/rgb", "net/flow")
FUSION = ("net/fusion", "net/norm")
ALTERNATELY = {
    "turns": [{"parts": ["net.rgb", "net.flow"]}, {"parts": ["net.fusion", "net.norm"], "optimizer": ADAM}],
    "epochs": 4,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with monkeypatch.context() as patch:
        yield Watched(patch)


def test_parts_learn_in_turns_and_keep_weights_and_statistics_meanwhile(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, watched: Watched
) -> None:
    trained(two_stream_stage(dataset[0], **ALTERNATELY), dataset, tmp_path)
    epochs = watched.weights
    assert len(epochs) == 5
    for number, (before, after) in enumerate(itertools.pairwise(epochs)):
        learning = FUSION if number % 2 else STREAMS
        # all of what learns changes, running statistics and their counters too, and nothing else does, by no bit
        assert changed(before, after) == below(before, *learning), f"epoch {number + 1}"
    assert all(f"{part}.bn.running_mean" in changed(*epochs[:2]) for part in STREAMS)
    (trainer,) = watched.trainers
    assert trainer.networks["net"].epochs == [0, 1, 2, 3], "networks are told of every epoch"
    assert [row["learning_rate"] for row in watched.rows] == [0.05, 0.01, 0.05, 0.01]


def test_two_networks_learn_in_turns(dataset: tuple[DatasetConfig, Path], tmp_path: Path, watched: Watched) -> None:
    """The history has a row for a network in the epochs in which something of it learns."""
    networks = {"x": toy.RGB, "y": {**toy.RGB, "modality": "flow"}}
    turns = [{"parts": ["x"]}, {"parts": ["y.layer4", "y.fc"], "optimizer": ADAM}]
    stage = toy.plan(dataset[0], {"s": {"networks": networks, "turns": turns, "objective": "mutual"}})["s"]
    trained(stage, dataset, tmp_path)
    assert [row["network"] for row in watched.rows] == ["x", "y"]
    first, second = changed(*watched.weights[:2]), changed(*watched.weights[1:])
    assert first == {name for name in watched.weights[0] if name.startswith("x/")}
    assert second == below(watched.weights[0], "y/layer4", "y/fc")


@pytest.mark.parametrize("frozen", [["conv1", "bn1", "layer1"], ["bn1"], ["fc"], ["conv1", "layer3", "fc"]])
def test_frozen_parts_keep_weights_and_statistics(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, watched: Watched, frozen: list[str]
) -> None:
    """Also where normalisation is a part by itself, as the stem's is in MARS's fine-tuning."""
    networks = {"rgb": {**toy.RGB, "frozen": frozen}}
    trained(toy.plan(dataset[0], {"s": {"networks": networks, "epochs": 1}})["s"], dataset, tmp_path)
    before, after = watched.weights
    assert changed(before, after) == set(before) - below(before, *(f"rgb/{part}" for part in frozen))


def test_a_frozen_part_stays_so_within_a_turn(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, watched: Watched
) -> None:
    stage = toy.plan(
        dataset[0],
        {"s": {"networks": {"x": {**toy.RGB, "frozen": ["layer1"]}}, "turns": [{"parts": ["x"]}], "epochs": 1}},
    )["s"]
    trained(stage, dataset, tmp_path)
    before, after = watched.weights
    assert changed(before, after) == set(before) - below(before, "x/layer1")


PLATEAU = {"kind": "plateau", "patience": 0, "factor": 0.5}
RESUMED = {
    "turns": ALTERNATELY,
    "adam": {"optimizer": ADAM, "epochs": 3},
    "dampening": {"optimizer": {"dampening": 0.9, "groups": "plain"}, "epochs": 2},
    "plateau": {"schedule": {**PLATEAU, "monitor": "validation_accuracy"}, "epochs": 4},
    "turns and plateau": {**ALTERNATELY, "schedule": PLATEAU},
}


def without_seconds(history: Path) -> list[str]:
    return [line.rsplit(",", 1)[0] for line in history.read_text().splitlines()]


@pytest.mark.parametrize("name", RESUMED)
def test_stopped_in_the_middle_of_any_epoch_and_resumed_gives_the_same_bits(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stage = two_stream_stage(dataset[0], **RESUMED[name])
    undisturbed = trained(stage, dataset, tmp_path / "whole")
    for steps in (1, 2, 3, 5):  # of two an epoch: in the middle of the first, at its end, in the second and the third
        where = toy.stage_files(tmp_path / f"stopped-{steps}", dataset[1])
        if steps > 2 * stage.document.config.epochs:
            continue
        with monkeypatch.context() as patch:
            patch.setattr(engine, "stop_on_signals", lambda steps=steps, **_: StopAt(steps - 1))
            with pytest.raises(Stopped, match=f"epoch {(steps + 1) // 2}, step {(steps - 1) % 2 + 1};"):
                train(stage, dataset[0], where)
        train(stage, dataset[0], where)
        assert same(undisturbed.weights, where.weights), steps
        assert without_seconds(undisturbed.history) == without_seconds(where.history)


@pytest.mark.parametrize("steps", [1, 3])
def test_killed_in_the_middle_of_an_epoch_of_either_turn_it_goes_on_with_the_same_bits(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, steps: int
) -> None:
    """The child stops itself with a saved state, goes on, and is killed one step later without another word."""
    stage = two_stream_stage(dataset[0], **ALTERNATELY)
    undisturbed = trained(stage, dataset, tmp_path / "whole")
    where = toy.stage_files(tmp_path / "killed", dataset[1])
    # no fork: once another test has computed gradients in threads, autograd refuses to work in forked children
    child = multiprocessing.get_context("spawn").Process(
        target=_stopped_and_killed, args=(stage, dataset[0], where, steps)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not where.weights.exists()
    train(stage, dataset[0], where)
    assert same(undisturbed.weights, where.weights)


def _stopped_and_killed(stage: Stage, dataset: DatasetConfig, where: StageFiles, steps: int) -> None:
    torch.set_num_threads(1)  # as tests/conftest.py does: sums are made in the same order
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(steps - 1))
        with pytest.raises(Stopped):
            train(stage, dataset, where)
        patch.setattr(engine, "stop_on_signals", lambda **_: Kill())
        train(stage, dataset, where)


class Kill(StopAt):
    """Kills the process when it is asked for the first time."""

    def __init__(self) -> None:
        super().__init__(0)

    def __bool__(self) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return True


def test_plateaus_lower_the_rate_and_history_says_so(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: Watched
) -> None:
    """Losses 3, 2, 2, 2.5, 1: after an epoch without an improvement, and each further one, the rate is halved."""
    seen = iter([3.0, 2.0, 2.0, 2.5, 1.0])
    monkeypatch.setattr(
        "mml_core.training.job.validation_of",
        lambda *_, **__: lambda _: {"net": {"validation_loss": next(seen), "validation_top1": 0.0}},
    )
    trained(two_stream_stage(dataset[0], schedule=PLATEAU, epochs=5), dataset, tmp_path)
    assert [row["learning_rate"] for row in watched.rows] == pytest.approx([0.05, 0.05, 0.05, 0.025, 0.0125])


def test_plateau_without_a_usable_validation_video_is_told(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = two_stream_stage(dataset[0], schedule=PLATEAU)
    monkeypatch.setattr("mml_core.training.job._check_quality", lambda *_: None)
    videos = ModalityStore.videos
    kept = property(lambda store: {k: v for k, v in videos.__get__(store).items() if not k.startswith("v")})
    monkeypatch.setattr(ModalityStore, "videos", kept)
    with pytest.raises(InputError, match="no usable video for validation in data set 'toy', which schedule plateau"):
        trained(stage, dataset, tmp_path)


def test_terms_of_the_objective_are_columns_and_curves_without_being_listed_anywhere(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(self: object, predictions: Any, targets: Any, teachers: Any) -> Any:
        del self, targets, teachers
        return {
            name: {"half": one.logits.square().mean() / 2, "of_a_term": one.logits.square().mean() / 2}
            for name, one in predictions.items()
        }

    monkeypatch.setattr("mml_core.objectives.cross_entropy.CrossEntropy.forward", losses)
    where = trained(two_stream_stage(dataset[0]), dataset, tmp_path)
    rows = list(csv.DictReader(where.history.open()))
    assert list(rows[0])[:7] == ["epoch", "step", "network", "learning_rate", "loss", "half", "of_a_term"]
    for row in rows:
        assert float(row["half"]) > 0
        assert float(row["loss"]) == pytest.approx(float(row["half"]) + float(row["of_a_term"]), abs=2e-6)
    logs = b"".join(log.read_bytes() for log in (tmp_path / "tensorboard" / "net").glob("events*"))
    assert b"of_a_term" in logs and b"half" in logs
