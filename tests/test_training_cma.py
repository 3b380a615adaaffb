"""Iterations of cross-modality attention, each a stage: what learns, what stays, and which scores there are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import load_file
from test_training_engine import train

from mml_core.config.dataset import DatasetConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.evaluation.job import score_stage
from mml_core.evaluation.scores import Scores, read_scores
from mml_core.plan.stages import Stage
from mml_core.training.job import StageFiles

NET = {"architecture": "cma", "backbone": "resnet_tiny", "dropout": 0.2}
#: All but the classifiers.
BODY = [
    f"{branch}.{part}"
    for branch in ("rgb", "flow")
    for part in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "attention")
]
ONE = {"clip": {"frames": 1, "segments": 2}, "epochs": 1, "optimizer": {"groups": "plain"}, "precision": "full"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder, train=5), folder / "shards"


@pytest.fixture(scope="module")
def stages(dataset: tuple[DatasetConfig, Path]) -> dict[str, Stage]:
    first = {**NET, "init": {"rgb": "random", "flow": "flow.flow"}, "frozen": ["flow"]}
    third = {**NET, "init": "r.net", "reset_head": True, "frozen": BODY}
    second = {**NET, "init": "r.net", "frozen": ["rgb"], "fusion": {"rgb": 1, "flow": 5}}
    return toy.plan(
        dataset[0],
        {
            "flow": {**ONE, "networks": {"flow": {**toy.RGB, "modality": "flow", "architecture": "tsn"}}},
            "r": {**ONE, "networks": {"net": first}, "objective": {"kind": "cross_entropy", "heads": ["rgb"]}},
            "s": {**ONE, "networks": {"net": second}, "objective": {"kind": "cross_entropy", "heads": ["flow"]}},
            "t": {**ONE, "networks": {"net": third}, "objective": {"kind": "cross_entropy", "heads": ["rgb", "flow"]}},
        },
    )


@pytest.fixture(scope="module")
def weights(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The weights of the stages."""
    made: dict[str, Path] = {}
    for name, starts in (("flow", {}), ("r", {"net.flow": "flow"}), ("s", {"net": "r"}), ("t", {"net": "r"})):
        folder = tmp_path_factory.mktemp(name)
        where: StageFiles = toy.stage_files(folder, dataset[1], {part: made[one] for part, one in starts.items()})
        train(stages[name], dataset[0], where)
        made[name] = where.weights
    return made


def scored(dataset: tuple[DatasetConfig, Path], weights: Path, folder: Path) -> Scores:
    output, protocol = folder / "scores.h5", ProtocolConfig(uniform=1, segments=3)
    plan, cpu = toy.data_plan(dataset[0]), torch.device("cpu")
    score_stage(weights, plan, dataset[1], "validation", protocol, output, device=cpu, workers=0)
    return read_scores(output)


def test_the_frozen_branch_is_the_one_that_was_trained_by_itself(weights: dict[str, Path]) -> None:
    flow, first, second = (load_file(weights[name]) for name in ("flow", "r", "s"))
    branch = {name.removeprefix("net/flow."): value for name, value in first.items() if name.startswith("net/flow.")}
    assert all(torch.equal(branch[name.removeprefix("flow/")], value) for name, value in flow.items())
    assert not branch["attention.layer2.0.bn.weight"].any(), "the flow branch's blocks are still the identity"
    assert first["net/rgb.attention.layer2.0.bn.weight"].any(), "those of the rgb branch have begun to learn"
    assert all(torch.equal(second[name], value) for name, value in first.items() if name.startswith("net/rgb."))
    assert second["net/flow.attention.layer2.0.bn.weight"].any()
    assert not torch.equal(second["net/flow.fc.weight"], first["net/flow.fc.weight"])


def test_classifiers_alone_are_fine_tuned(weights: dict[str, Path]) -> None:
    """Section 5.7: what goes over to another data set keeps all but the last layers, statistics included."""
    before, after = load_file(weights["r"]), load_file(weights["t"])
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {f"net/{branch}.fc.{kind}" for branch in ("rgb", "flow") for kind in ("weight", "bias")}


def test_there_are_three_sets_of_scores(
    dataset: tuple[DatasetConfig, Path], weights: dict[str, Path], tmp_path: Path
) -> None:
    """After iteration 1 the flow branch says what it said by itself; the sum has the weights of the configuration."""
    scores = scored(dataset, weights["r"], tmp_path).networks
    assert set(scores) == {"net", "net.rgb", "net.flow"}
    for part in ("net.rgb", "net.flow"):
        assert scores[part].parameters < scores["net"].parameters, "what only the other branch needs does not count"
        assert scores[part].gflops_per_view < scores["net"].gflops_per_view
    alone = scored(dataset, weights["flow"], tmp_path).networks["flow"]
    torch.testing.assert_close(torch.tensor(scores["net.flow"].logits), torch.tensor(alone.logits))
    second = {name: torch.tensor(one.logits) for name, one in scored(dataset, weights["s"], tmp_path).networks.items()}
    torch.testing.assert_close(second["net"], (second["net.rgb"] + 5 * second["net.flow"]) / 6)


def test_the_same_stage_gives_the_same_bits(
    dataset: tuple[DatasetConfig, Path], stages: dict[str, Stage], weights: dict[str, Path], tmp_path: Path
) -> None:
    again = toy.stage_files(tmp_path, dataset[1], {"net": weights["r"]})
    train(stages["s"], dataset[0], again, workers=1)
    assert again.weights.read_bytes() == weights["s"].read_bytes()
