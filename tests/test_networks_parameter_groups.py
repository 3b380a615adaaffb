"""Parameter groups: every parameter once, with the learning rate and decay of TSM's code."""

from __future__ import annotations

import pytest
import torch
from network_helpers import build, build_3d
from torch import nn

from mml_core.config.learning import AdamConfig, AdamWConfig, SgdConfig
from mml_core.networks import VideoNetwork, parameter_groups
from mml_core.training.learners import make_optimizer

OPTIMIZER = SgdConfig(learning_rate=0.02, weight_decay=1e-4, new_head_multiplier=5.0)


def settings_by_name(network: VideoNetwork, *, new_head: bool) -> dict[str, tuple[float, float]]:
    """Return (lr, weight_decay) by name of parameter; fails where a parameter is in two groups or in none."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found: dict[str, tuple[float, float]] = {}
    for group in parameter_groups(network, OPTIMIZER, new_head=new_head):
        assert group["lr"] == pytest.approx(OPTIMIZER.learning_rate * group["lr_scale"])
        assert group["params"], f"group {group['name']} is empty"
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert name not in found
            found[name] = (group["lr"], group["weight_decay"])
    assert set(found) == set(names.values())
    return found


@pytest.mark.parametrize("architecture", ["tsm", "tsn", "i3d"])
@pytest.mark.parametrize("backbone", ["resnet_tiny", "resnet50"])
@pytest.mark.parametrize("new_head", [True, False])
def test_rates_and_decays(backbone: str, architecture: str, new_head: bool) -> None:
    found = settings_by_name(build(backbone=backbone, architecture=architecture, channels=10), new_head=new_head)
    assert found["fc.weight"] == pytest.approx((0.1, 1e-4) if new_head else (0.02, 1e-4))
    assert found["fc.bias"] == pytest.approx((0.2, 0.0) if new_head else (0.04, 0.0))
    assert found["conv1.weight"] == found["layer1.0.conv1.weight"] == found["layer2.0.downsample.0.weight"]
    assert found["conv1.weight"] == pytest.approx((0.02, 1e-4))
    for name in ("bn1.weight", "bn1.bias", "layer1.0.bn2.weight", "layer2.0.downsample.1.bias"):
        assert found[name] == pytest.approx((0.02, 0.0))


@pytest.mark.parametrize("which", ["conv1", "layer1.0.conv1"])
def test_biases_of_convolutions_learn_twice_as_fast_without_decay(which: str) -> None:
    network = build()
    network.get_submodule(which).bias = nn.Parameter(torch.zeros(32))
    assert settings_by_name(network, new_head=True)[f"{which}.bias"] == pytest.approx((0.04, 0.0))


def test_in_groups_of_slowfast_all_learn_alike_and_normalisation_does_not_decay() -> None:
    """SlowFast's `construct_optimizer`: normalisation with BN.WEIGHT_DECAY 0, all the rest, biases too, with 1e-4."""
    network, optimizer = build(architecture="i3d"), SgdConfig(learning_rate=0.0375, groups="slowfast")
    weights, normalisation = parameter_groups(network, optimizer, new_head=True)
    assert (weights["name"], weights["lr"], weights["weight_decay"]) == ("weights", 0.0375, 1e-4)
    assert (normalisation["name"], normalisation["lr"], normalisation["weight_decay"]) == ("normalisation", 0.0375, 0.0)
    norms = [one for module in network.modules() if isinstance(module, nn.BatchNorm3d) for one in module.parameters()]
    assert {id(one) for one in normalisation["params"]} == {id(one) for one in norms}
    assert {id(one) for one in weights["params"]} == {id(one) for one in network.parameters()} - {id(n) for n in norms}
    assert any(one is network.fc.bias for one in weights["params"])


def test_sgd_steps_with_these_rates() -> None:
    """One step from a gradient of one: weights move by lr * (1 + decay * weight), the new head's bias by 10 lr."""
    network = build()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimizer = torch.optim.SGD(parameter_groups(network, OPTIMIZER, new_head=True), momentum=0.9)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = {name: before[name] - value.detach() for name, value in network.named_parameters()}
    torch.testing.assert_close(moved["fc.bias"], torch.full((5,), 0.2))
    torch.testing.assert_close(moved["bn1.weight"], torch.full((32,), 0.02))
    torch.testing.assert_close(moved["conv1.weight"], 0.02 * (1 + 1e-4 * before["conv1.weight"]))


class TwoStreams(VideoNetwork):
    """A network of two parts with a classifier each."""

    classifiers = ("rgb.fc", "flow.fc")

    def __init__(self) -> None:
        super().__init__()
        self.rgb, self.flow = build(), build(channels=10)


def names_by_group(network: VideoNetwork, optimizer: SgdConfig | AdamConfig, **rest: object) -> dict[str, set[str]]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network, optimizer, **rest)
    assert sum(len(group["params"]) for group in groups) == len(
        {id(one) for group in groups for one in group["params"]}
    )
    return {group["name"]: {names[id(parameter)] for parameter in group["params"]} for group in groups}


def test_parts_learn_without_what_is_frozen_in_them() -> None:
    network = TwoStreams()
    found = names_by_group(network, OPTIMIZER, new_head=True, parts=("rgb",), frozen=("rgb.layer1", "rgb.bn1", "flow"))
    assert found["new_head_weight"] == {"rgb.fc.weight"}
    assert found["new_head_bias"] == {"rgb.fc.bias"}
    assert "rgb.conv1.weight" in found["weights"]
    everything = set.union(*found.values())
    expected = {name for name, _ in network.rgb.named_parameters() if not name.startswith(("layer1.", "bn1."))}
    assert everything == {f"rgb.{name}" for name in expected}


def test_a_part_is_a_module_and_not_the_beginning_of_a_name() -> None:
    network = build()
    network.layer10 = nn.Linear(2, 2)
    found = names_by_group(network, OPTIMIZER, new_head=False, parts=("layer1",))
    assert not any(name.startswith("layer10") for names in found.values() for name in names)
    assert found["weights"] == {"layer1.0.conv1.weight", "layer1.0.conv2.weight"}


def test_both_classifiers_of_a_network_of_two_streams_are_new() -> None:
    found = names_by_group(TwoStreams(), OPTIMIZER, new_head=True)
    assert found["new_head_weight"] == {"rgb.fc.weight", "flow.fc.weight"}


@pytest.mark.parametrize(
    "optimizer",
    [
        SgdConfig(groups="plain", learning_rate=0.1, weight_decay=5e-4),
        AdamConfig(kind="adam", learning_rate=0.1, weight_decay=5e-4),
    ],
)
def test_plain_groups_treat_all_parameters_alike(optimizer: SgdConfig | AdamConfig) -> None:
    network = build_3d("resnext3d", depth="tiny")
    (group,) = parameter_groups(
        network, optimizer, new_head=True, frozen=("conv1", "bn1", "layer1", "layer2", "layer3")
    )
    assert (group["name"], group["lr"], group["lr_scale"], group["weight_decay"]) == ("all", 0.1, 1.0, 5e-4)
    expected = [one for name, one in network.named_parameters() if name.startswith(("layer4.", "fc."))]
    assert {id(one) for one in group["params"]} == {id(one) for one in expected}


def test_adam_with_groups_of_tsm() -> None:
    optimizer = AdamConfig(kind="adam", learning_rate=0.01, groups="tsm", new_head_multiplier=3)
    rates = {group["name"]: group["lr"] for group in parameter_groups(build(), optimizer, new_head=True)}
    assert rates == pytest.approx(
        {"weights": 0.01, "normalisation": 0.01, "new_head_weight": 0.03, "new_head_bias": 0.06}
    )


class Looking(VideoNetwork):
    """What transformers are made of: a linear map, normalisation, and tables of a module's own."""

    classifiers = ("fc",)

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc = nn.LayerNorm(3), nn.Linear(3, 2)
        self.positions = nn.Parameter(torch.zeros(5, 3))


def test_in_groups_of_transformers_weights_alone_decay() -> None:
    optimizer = AdamWConfig(kind="adamw", learning_rate=1e-4)
    found = names_by_group(Looking(), optimizer, new_head=True)
    expected = {"weights": {"fc.weight"}, "biases": {"fc.bias", "positions"}}
    assert found == {**expected, "normalisation": {"norm.weight", "norm.bias"}}
    groups = parameter_groups(Looking(), optimizer, new_head=True)
    assert {group["name"]: group["weight_decay"] for group in groups} == {
        "weights": 0.05,
        "biases": 0.0,
        "normalisation": 0.0,
    }
    assert {group["lr"] for group in groups} == {1e-4}


def test_a_step_of_adamw_decays_apart_from_the_gradient() -> None:
    """Equation 12 of the paper: with no gradient a step takes learning rate times decay of the weights, and no more."""
    network = Looking()
    nn.init.ones_(network.fc.weight)
    nn.init.ones_(network.fc.bias)
    optimizer = AdamWConfig(kind="adamw", learning_rate=0.1, weight_decay=0.5)
    own = make_optimizer(optimizer, parameter_groups(network, optimizer, new_head=False))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    own.step()
    torch.testing.assert_close(network.fc.weight.detach(), torch.full((2, 3), 0.95))
    assert torch.equal(network.fc.bias.detach(), torch.ones(2))


@pytest.mark.parametrize(
    ("parts", "frozen"), [((), ()), (("head",), ()), (("",), ("",)), (("layer4",), ("layer4",)), (("relu",), ())]
)
def test_nothing_to_learn_is_refused(parts: tuple[str, ...], frozen: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no parameters in"):
        parameter_groups(build(), OPTIMIZER, new_head=True, parts=parts, frozen=frozen)
