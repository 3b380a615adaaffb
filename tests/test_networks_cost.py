"""Cost of networks against the numbers that torchvision states."""

from __future__ import annotations

import pytest
import torch
from network_helpers import build
from torchvision.models import ResNet18_Weights, ResNet34_Weights, ResNet50_Weights, ResNet101_Weights, WeightsEnum

from mml_core.networks.cost import gflops_per_clip, parameters_millions


@pytest.mark.parametrize("architecture", ["tsm", "tsn"])
@pytest.mark.parametrize(
    "weights",
    [
        ResNet18_Weights.IMAGENET1K_V1,
        ResNet34_Weights.IMAGENET1K_V1,
        ResNet50_Weights.IMAGENET1K_V1,
        ResNet101_Weights.IMAGENET1K_V1,
    ],
)
def test_cost_is_that_of_torchvision_for_each_frame(weights: WeightsEnum, architecture: str) -> None:
    backbone = type(weights).__name__.removesuffix("_Weights").lower()
    network = build(backbone=backbone, architecture=architecture, frames=8, classes=1000)
    # the classifier is applied once a clip, to the mean of the frames
    head = 7 * network.fc.in_features * 1000 / 1e9
    assert gflops_per_clip(network, (8, 3, 224, 224)) + head == pytest.approx(8 * weights.meta["_ops"], rel=1e-3)
    assert parameters_millions(network) == pytest.approx(weights.meta["num_params"] / 1e6, abs=1e-9)


def test_cost_of_the_first_convolution_worked_out_by_hand() -> None:
    """Seven channels more: 32 maps of 28 x 28, 7 x 7 weights a channel, four frames."""
    rgb, flow = build(channels=3), build(channels=10)
    difference = gflops_per_clip(flow, (4, 10, 56, 56)) - gflops_per_clip(rgb, (4, 3, 56, 56))
    assert difference == pytest.approx(4 * 32 * 28 * 28 * 7 * 49 / 1e9, rel=1e-9)
    assert parameters_millions(flow) - parameters_millions(rgb) == pytest.approx(32 * 7 * 49 / 1e6)


def test_network_is_left_alone() -> None:
    network = build().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    gflops_per_clip(network, (4, 3, 31, 45))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
