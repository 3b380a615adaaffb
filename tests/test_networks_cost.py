"""Cost of networks against the numbers that torchvision states."""

from __future__ import annotations

import pytest
import torch
from network_helpers import build, build_3d
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, ResNet34_Weights, ResNet50_Weights, ResNet101_Weights, WeightsEnum

from mml_core.networks.cost import cost_of_scores, gflops_per_clip, parameters_millions


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


class Sum(nn.Module):
    """The sum of two networks' logits."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
        return self.first(rgb).logits + self.second(flow).logits


def test_cost_of_a_network_of_two_inputs_is_that_of_its_streams() -> None:
    rgb, flow = build(channels=3), build(channels=10, frames=2)
    shapes = (4, 3, 56, 56), (2, 10, 40, 40)
    expected = gflops_per_clip(rgb, shapes[0]) + gflops_per_clip(flow, shapes[1])
    assert gflops_per_clip(Sum(rgb, flow), *shapes) == pytest.approx(expected, rel=1e-12)


def test_segments_cost_as_much_as_clips() -> None:
    network = build_3d("resnext3d", depth="tiny")
    one = gflops_per_clip(network, (16, 3, 56, 56))
    classifier = network.fc.in_features * 5 / 1e9  # once a clip, on the mean of the segments
    assert gflops_per_clip(network, (48, 3, 56, 56)) == pytest.approx(3 * one - 2 * classifier, rel=1e-9)


@pytest.mark.parametrize("architecture", ["tsm", "tsn", "i3d", "resnext3d", "s3d", "s3dg"])
def test_all_modules_of_a_network_without_parts_run_for_its_scores(architecture: str) -> None:
    network = (
        build(architecture=architecture, frames=8)
        if architecture in ("tsm", "tsn", "i3d")
        else build_3d(architecture, **({"depth": "tiny"} if architecture == "resnext3d" else {}))
    )
    cost = cost_of_scores(network, "", (16, 3, 56, 56))
    assert cost.parameters == sum(value.numel() for value in network.parameters())
    assert cost.gflops == gflops_per_clip(network, (16, 3, 56, 56))
    assert not network._forward_hooks and all(not one._forward_hooks for one in network.modules())
