"""The phases of AdaMML through the training engine: what learns in which, exact resume in either turn, choices."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from choosing import SMALL
from safetensors.torch import load_file
from test_training_distributed import Toy, rows
from test_training_engine import same, train
from test_training_hallucination import part_of, scored
from watched import StopAt, Watched, changed

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig
from mml_core.networks import ClipShape, build_network
from mml_core.networks.cost import cost_of_scores
from mml_core.plan.stages import Stage
from mml_core.runtime.cli import Stopped
from mml_core.training.job import StageFiles

STREAM = {"architecture": "tsn_pool", "backbone": "resnet_tiny", "init": "random"}
NET = {key: value for key, value in SMALL.items() if key != "init"}
STAGE = {
    "clip": {"frames": 2, "segments": 2, "stack": 2, "crop_px": 24, "sampling": "dense", "dense_window": 2},
    "epochs": 1,
    "optimizer": {"learning_rate": 0.01, "groups": "plain"},
    "precision": "full",
}
ADAM = {"kind": "adam", "learning_rate": 0.01}
STAGES: dict[str, Any] = {
    "rgb": {"networks": {"rgb": {**STREAM, "modality": "rgb"}}},
    "flow": {"networks": {"flow": {**STREAM, "modality": "flow"}}},
    "warm": {
        "networks": {
            "net": {
                **NET,
                "init": {"streams.rgb": "rgb.rgb", "streams.flow": "flow.flow", "policy.looks.rgb": "rgb.rgb"},
                "frozen": ["policy"],
            }
        }
    },
    "alternate": {
        "networks": {"net": {**NET, "init": "warm.net"}},
        "objective": {"kind": "frugal", "prices": {"rgb": 0.5, "flow": 0.8}},
        "turns": [{"parts": ["net.streams", "net.fusion"]}, {"parts": ["net.policy"], "optimizer": ADAM}],
        "epochs": 2,
    },
    "finetune": {"networks": {"net": {**NET, "init": "alternate.net", "frozen": ["policy"]}}},
}
STARTS = {
    "rgb": {},
    "flow": {},
    "warm": {"net.streams.rgb": "rgb", "net.streams.flow": "flow", "net.policy.looks.rgb": "rgb"},
    "alternate": {"net": "warm"},
    "finetune": {"net": "alternate"},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder, train=8, validation=3), folder / "shards"


@pytest.fixture(scope="module")
def stages(dataset: tuple[DatasetConfig, Path]) -> dict[str, Stage]:
    return toy.plan(dataset[0], {name: {**STAGE, **stage} for name, stage in STAGES.items()})


@pytest.fixture(scope="module")
def made(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, StageFiles]:
    """The files of the stages, all trained."""
    files: dict[str, StageFiles] = {}
    for name in STAGES:
        files[name] = _files(tmp_path_factory.mktemp(name), dataset, name, files)
        train(stages[name], dataset[0], files[name])
    return files


def _files(folder: Path, dataset: tuple[DatasetConfig, Path], name: str, files: dict[str, StageFiles]) -> StageFiles:
    return toy.stage_files(folder, dataset[1], {part: files[one].weights for part, one in STARTS[name].items()})


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether both have the same names and bits."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_frozen_policy_stays_to_the_bit_while_streams_and_fusion_learn(made: dict[str, StageFiles]) -> None:
    """In warm-up and fine-tuning; what the policy sees rgb with starts, in warm-up, from the stream's weights."""
    looks, stream = part_of(made["warm"], "net/policy.looks.rgb."), part_of(made["rgb"], "rgb/")
    assert equal(looks, {name: value for name, value in stream.items() if not name.startswith("fc.")})
    assert equal(part_of(made["finetune"], "net/policy."), part_of(made["alternate"], "net/policy."))
    for before, after in (("alternate", "finetune"), ("warm", "alternate")):
        for part in ("streams.rgb.", "streams.flow.", "fusion."):
            old, new = (part_of(made[name], f"net/{part}") for name in (before, after))
            assert not any(torch.equal(value, new[name]) for name, value in old.items() if name.endswith("weight"))
    streams = part_of(made["warm"], "net/streams.flow.")
    assert not torch.equal(streams["fc.weight"], part_of(made["flow"], "flow/")["fc.weight"])


def test_policy_and_streams_learn_in_turns(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], made: dict[str, StageFiles], tmp_path: Path
) -> None:
    """Each leaves the other alone, statistics of batch normalisation included; the policy's turn changes all of it."""
    where = _files(tmp_path, dataset, "alternate", made)
    with pytest.MonkeyPatch.context() as patch:
        watched = Watched(patch)
        train(stages["alternate"], dataset[0], where)
    policy = {name for name in watched.weights[0] if name.startswith("net/policy.")}
    streams = set(watched.weights[0]) - policy
    start, first, second = watched.weights
    assert changed(start, first) <= streams and changed(first, second) <= policy
    for name in ("net/streams.rgb.bn1.running_mean", "net/streams.flow.conv1.weight", "net/fusion.first"):
        assert name in changed(start, first)
    for name in ("looks.flow.bn1.running_mean", "looks.rgb.conv1.weight", "lstm.weight_hh", "heads.flow.weight"):
        assert f"net/policy.{name}" in changed(first, second)


@pytest.mark.parametrize("steps", [1, 3])
def test_stopped_in_the_middle_of_either_turn_it_goes_on_with_the_same_bits(
    dataset: tuple[DatasetConfig, Path],
    stages: dict[str, Stage],
    made: dict[str, StageFiles],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
) -> None:
    """Two steps an epoch: behind the first step of the streams' turn, and of the policy's."""
    where = _files(tmp_path, dataset, "alternate", made)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(steps - 1))
        with pytest.raises(Stopped):
            train(stages["alternate"], dataset[0], where)
    train(stages["alternate"], dataset[0], where)
    assert same(made["alternate"].weights, where.weights)


def test_two_processes_draw_and_learn_as_one(tmp_path: Path, project: Path) -> None:
    """In both turns: noise of decisions and dropout are those of a group, whoever has it."""
    lab = Toy(tmp_path, project)
    parts = {"networks": {"net": NET | {"init": "random"}}, "batch_size": 4, "micro_batch_size": 2}
    block = {**STAGE, **STAGES["alternate"], **parts}
    alone = lab.train_alone(toy.plan(lab.dataset, {"net": block})["net"], "alone")
    both, _ = lab.train(toy.plan(lab.dataset, {"net": {**block, "gpus": 2}})["net"], "both")
    told, expected = rows(both), rows(alone)
    assert len(told) == 2, "a turn each"
    for ours, theirs in zip(told, expected, strict=True):
        for name in ("loss", "cross_entropy", "price_rgb", "price_flow", "wrong"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-4, abs=1e-5), name
    weights = load_file(both.weights)
    for name, values in load_file(alone.weights).items():
        torch.testing.assert_close(weights[name].double(), values.double(), rtol=1e-3, atol=1e-4, msg=name)


def test_the_history_has_prices(made: dict[str, StageFiles]) -> None:
    rows = list(csv.DictReader(made["alternate"].history.open()))
    assert len(rows) == 2
    for row in rows:
        parts = [float(row[name]) for name in ("cross_entropy", "price_rgb", "price_flow", "wrong")]
        assert min(parts) >= 0 and parts[1] <= 0.5 and parts[2] <= 0.8
        assert float(row["loss"]) == pytest.approx(sum(parts), abs=1e-4)
        assert parts[3] == pytest.approx(10 * (1 - float(row["train_top1"]) / 100), abs=1e-3)


def test_scores_have_choices_and_each_video_its_cost(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], made: dict[str, StageFiles], tmp_path: Path
) -> None:
    net = scored(dataset, made["finetune"].weights, tmp_path).networks["net"]
    assert net.choices.shape == (3, 2, 2) and set(np.unique(net.choices)) <= {0.0, 1.0}
    block = stages["finetune"].document.config.networks["net"]
    with torch.device("meta"):
        network = build_network(block, ClipShape(2, {"rgb": 3, "flow": 4}, 2), classes=2)
    cost = cost_of_scores(network, "", (4, 3, 24, 24), (4, 4, 24, 24))
    assert (net.parameters, net.gflops_per_view.shape) == (cost.parameters, (3,))
    share = net.choices.mean(axis=1)
    expected = cost.gflops - (1 - share) @ np.array(cost.chosen)
    np.testing.assert_allclose(net.gflops_per_view, expected)
    assert (net.gflops_per_view <= cost.gflops).all()
