"""What a stage's networks start from, by part, and the learners that are made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from test_training_engine import train, trained
from torch import Tensor

from mml_core.config.dataset import DatasetConfig
from mml_core.errors import InputError
from mml_core.networks.stage_weights import read_weights
from mml_core.plan.stages import Stage
from mml_core.training.build import Members, build_members
from mml_core.training.learners import Learner

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


@pytest.fixture(scope="module")
def first(dataset: tuple[DatasetConfig, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a stage `first` with a network `rgb`."""
    return trained(stage(dataset[0], "first"), dataset, tmp_path_factory.mktemp("first")).weights


def stage(dataset: DatasetConfig, name: str = "second", **settings: Any) -> Stage:
    second = {"networks": {"rgb": {**toy.RGB, **settings.pop("network", {})}}, **settings}
    return toy.plan(dataset, {"first": {"networks": {"rgb": toy.RGB}, "epochs": 1}, "second": second})[name]


def built(one: Stage, files: dict[tuple[str, str], Path], **changes: Any) -> Members:
    return build_members(one.document.model_copy(update=changes), files, {"rgb": "rgb"}, classes=2, device=CPU)


def groups(learner: Learner) -> set[str]:
    return {group["name"] for group in learner.optimizer.param_groups}


def differing(members: Members, file: Path) -> set[str]:
    """Return the names of the weights and statistics that are not those of the file."""
    state: dict[str, Tensor] = read_weights(file, "rgb")
    own = members.trained["rgb"].network.state_dict()
    return {name for name, value in state.items() if not torch.equal(value, own[name])}


def test_parts_start_by_themselves_and_the_rest_at_random(dataset: tuple[DatasetConfig, Path], first: Path) -> None:
    init = {"layer1": "first.rgb.layer1", "bn1": "first.rgb.bn1", "layer4": "random"}
    members = built(stage(dataset[0], network={"init": init}), {("rgb", "layer1"): first, ("rgb", "bn1"): first})
    other = differing(members, first)
    taken = {name for name in read_weights(first, "rgb") if name.startswith(("layer1.", "bn1."))}
    assert not other & taken
    assert {"conv1.weight", "layer2.0.conv1.weight", "layer4.0.conv1.weight", "fc.weight"} <= other
    assert set(members.handed_over["rgb"]) == {"layer1", "bn1", "layer4"}
    assert {"new_head_weight", "new_head_bias"} <= groups(members.learners["rgb"]), "its classifier starts anew"


def test_a_classifier_that_is_handed_over_by_part_is_not_new(dataset: tuple[DatasetConfig, Path], first: Path) -> None:
    members = built(stage(dataset[0], network={"init": {"fc": "first.rgb.fc"}}), {("rgb", "fc"): first})
    assert not differing(members, first) & {"fc.weight", "fc.bias"}
    assert groups(members.learners["rgb"]) == {"weights", "biases", "normalisation"}


def test_a_part_without_a_file_is_refused(dataset: tuple[DatasetConfig, Path]) -> None:
    with pytest.raises(InputError, match="no file was given with the weights that layer1 starts from"):
        built(stage(dataset[0], network={"init": {"layer1": "first.rgb.layer1"}}), {})


@pytest.mark.parametrize("other", [False, True])
def test_classifiers_are_drawn_anew_for_other_classes_though_as_many(
    dataset: tuple[DatasetConfig, Path], first: Path, other: bool
) -> None:
    one = stage(dataset[0], network={"init": "first.rgb"})
    init = one.document.inits["rgb"][""].model_copy(update={"other_classes": other})
    members = built(one, {("rgb", ""): first}, inits={"rgb": {"": init}})
    assert differing(members, first) == ({"fc.weight", "fc.bias"} if other else set())
    assert members.handed_over["rgb"][""].new_head is other


def test_learners_have_the_optimisers_of_their_turns_and_no_frozen_parameters(
    dataset: tuple[DatasetConfig, Path],
) -> None:
    sgd = {"momentum": 0.5, "dampening": 0.25, "weight_decay": 0.125, "groups": "plain"}
    adam = {"kind": "adam", "learning_rate": 0.0625, "betas": [0.5, 0.75], "weight_decay": 0.25}
    turns = [{"parts": ["rgb"]}, {"parts": ["rgb.layer4", "rgb.fc"], "optimizer": adam}]
    one = stage(dataset[0], network={"frozen": ["conv1", "bn1"]}, optimizer=sgd, turns=turns)
    members = built(one, {})
    network = members.trained["rgb"].network
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    learned = {
        name: {names[id(p)] for group in learner.optimizer.param_groups for p in group["params"]}
        for name, learner in members.learners.items()
    }
    everything = set(names.values())
    frozen = {name for name in everything if name.startswith(("conv1.", "bn1."))}
    assert learned == {
        "rgb.0": everything - frozen,
        "rgb.1": {name for name in everything if name.startswith(("layer4.", "fc."))},
    }
    main, second = (members.learners[name].optimizer for name in ("rgb.0", "rgb.1"))
    assert isinstance(main, torch.optim.SGD) and isinstance(second, torch.optim.Adam)
    (group,) = main.param_groups
    assert (group["momentum"], group["dampening"], group["weight_decay"]) == (0.5, 0.25, 0.125)
    (group,) = second.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.0625, (0.5, 0.75), 0.25)


def test_distillation_alone_leaves_the_classifier_to_the_next_stage(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path
) -> None:
    """MERS: all but the classifier by the distance, then the classifier by itself."""
    flow = {**toy.RGB, "modality": "flow"}
    body = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]
    stages = toy.plan(
        dataset[0],
        {
            "ce": {"networks": {"flow": flow}, "epochs": 1},
            "features": {
                "networks": {
                    "rgb": {**toy.RGB, "frozen": ["fc"]},
                    "teacher": {**flow, "init": "ce.flow", "frozen": True},
                },
                "objective": "mers",
                "epochs": 1,
            },
            "mers": {"networks": {"rgb": {**toy.RGB, "init": "features.rgb", "frozen": body}}, "epochs": 1},
        },
    )
    teacher = trained(stages["ce"], dataset, tmp_path / "ce").weights
    features = toy.stage_files(tmp_path / "features", dataset[1], {"teacher": teacher})
    train(stages["features"], dataset[0], features)
    mers = toy.stage_files(tmp_path / "mers", dataset[1], {"rgb": features.weights})
    train(stages["mers"], dataset[0], mers)
    before, after = read_weights(features.weights, "rgb"), read_weights(mers.weights, "rgb")
    assert {name for name, value in before.items() if not torch.equal(value, after[name])} == {"fc.weight", "fc.bias"}
