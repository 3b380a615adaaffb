"""Parameter groups: every parameter once, with the learning rate and decay of TSM's code."""

from __future__ import annotations

import pytest
import torch
from network_helpers import build
from torch import nn

from mml_core.config.learning import SgdConfig
from mml_core.networks import VideoNetwork, parameter_groups

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
