"""Handing weights over to I3D: from image networks by inflation, from I3D as they are, and never back."""

from __future__ import annotations

import pytest
import torch
from network_helpers import build
from torch import nn

from mml_core.errors import InputError
from mml_core.networks import HandOver, convert_input_channels, hand_over
from mml_core.networks.inflated import InflatedClassifier


def i3d(**settings: int | str) -> InflatedClassifier:
    """Return an I3D, by default on the tiny backbone."""
    return build(architecture="i3d", **settings)


@pytest.mark.parametrize("architecture", ["tsm", "tsn"])
@pytest.mark.parametrize("channels", [3, 10])
def test_from_an_image_network(architecture: str, channels: int) -> None:
    source = build(backbone="resnet50", architecture=architecture, seed=1)
    network = i3d(backbone="resnet50", channels=channels, frames=3, seed=2)
    state = source.state_dict()
    kept = {name: value.clone() for name, value in state.items()}
    assert hand_over(network, state, reset_head=False, source="ml.rgb") == HandOver(False, channels != 3, True)
    for name, value in network.state_dict().items():
        image_weight = kept[name]
        if name == "conv1.weight" and channels != 3:
            image_weight = image_weight.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
        if value.ndim == 5:
            for time in range(value.shape[2]):
                torch.testing.assert_close(value[:, :, time], image_weight / value.shape[2])
        else:
            assert torch.equal(value, image_weight)
    assert all(torch.equal(value, kept[name]) for name, value in state.items()), "the source was changed"


@pytest.mark.parametrize(("old", "new"), [(3, 3), (3, 10), (15, 3)])
def test_between_inflated_networks(old: int, new: int) -> None:
    source, target = i3d(channels=old, seed=1), i3d(channels=new, frames=9, seed=2)
    nn.init.normal_(source.conv1.weight)
    kept = {name: value.clone() for name, value in source.state_dict().items()}
    assert hand_over(target, source.state_dict(), reset_head=False, source="a") == HandOver(False, old != new)
    result = target.state_dict()
    first = kept.pop("conv1.weight")
    expected = first if old == new else first.mean(dim=1, keepdim=True).expand(-1, new, -1, -1, -1)
    torch.testing.assert_close(result["conv1.weight"], expected)
    assert all(torch.equal(result[name], value) for name, value in kept.items())


def test_new_channels_of_a_clip_convolution() -> None:
    weight = torch.tensor([[1.0, 2.0, 6.0]]).reshape(1, 3, 1, 1, 1).repeat(1, 1, 2, 1, 1)
    assert convert_input_channels(weight, 4).shape == (1, 4, 2, 1, 1)
    assert convert_input_channels(weight, 4).unique().tolist() == [3.0]


@pytest.mark.parametrize("channels", [3, 10])
def test_there_is_no_way_back(channels: int) -> None:
    target = build(channels=channels, seed=2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(InputError, match=r"0 missing, 0 unknown, \d+ of another shape") as caught:
        hand_over(target, i3d(seed=1).state_dict(), reset_head=False, source="ml.i3d")
    assert f"conv1.weight is (32, 3, 5, 7, 7), the network's is (32, {channels}, 7, 7)" in caught.value.message
    assert "those of 3-D networks only into 3-D ones" in caught.value.hint
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("shape", [(32, 3, 5, 5), (32, 3, 3, 7, 7), (32,)])
def test_malformed_first_weights(shape: tuple[int, ...]) -> None:
    state = build().state_dict() | {"conv1.weight": torch.zeros(shape)}
    with pytest.raises(InputError, match="1 of another shape"):
        hand_over(i3d(), state, reset_head=False, source="a")
