"""Handing weights over: between modalities, to other classes, from old files; what does not fit is listed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_helpers import build
from torch import nn

from mml_core.errors import InputError
from mml_core.networks import HandOver, convert_input_channels, hand_over


def test_new_channels_are_the_mean_of_the_old_ones() -> None:
    """MML, section III-A: the mean over the channels, replicated, without rescaling."""
    weight = torch.tensor([[1.0, 2.0, 6.0], [-3.0, 0.0, 3.0]]).reshape(2, 3, 1, 1)
    assert convert_input_channels(weight, 2).flatten(1).tolist() == [[3.0, 3.0], [0.0, 0.0]]
    assert convert_input_channels(weight, 5).flatten(1).tolist() == [[3.0] * 5, [0.0] * 5]


@given(old=st.integers(1, 16), new=st.integers(1, 16), size=st.integers(1, 3))
def test_converted_shape_and_mean(old: int, new: int, size: int) -> None:
    weight = torch.randn(4, old, size, size)
    converted = convert_input_channels(weight, new)
    assert converted.shape == (4, new, size, size)
    for output in range(4):
        for channel in range(new):
            torch.testing.assert_close(converted[output, channel], sum(weight[output]) / old)


def test_grey_input_answers_alike_up_to_the_ratio_of_channels() -> None:
    """The response to equal channels grows by 10 / 3 from RGB to flow, which is why equal input / (10 / 3) agrees."""
    rgb, grey = nn.Conv2d(3, 4, 3, bias=False), torch.randn(1, 1, 6, 6)
    flow = nn.Conv2d(10, 4, 3, bias=False)
    flow.weight = nn.Parameter(convert_input_channels(rgb.weight.detach(), 10))
    torch.testing.assert_close(flow(grey.expand(-1, 10, -1, -1)), rgb(grey.expand(-1, 3, -1, -1)) * 10 / 3)


@pytest.mark.parametrize(("old", "new"), [(3, 10), (10, 15), (15, 3), (10, 3), (3, 3)])
def test_between_modalities(old: int, new: int) -> None:
    source, target = build(channels=old, seed=1), build(channels=new, seed=2)
    state = source.state_dict()
    kept = {name: value.clone() for name, value in state.items()}
    assert hand_over(target, state, reset_head=False, source="ml.rgb") == HandOver(False, old != new)
    result = target.state_dict()
    first = kept["conv1.weight"] if old == new else convert_input_channels(kept["conv1.weight"], new)
    assert torch.equal(result.pop("conv1.weight"), first)
    assert all(torch.equal(value, kept[name]) for name, value in result.items())
    assert all(torch.equal(value, state[name]) for name, value in kept.items()), "the source was changed"


def test_there_and_back_is_grey() -> None:
    rgb, flow, back = build(channels=3, seed=1), build(channels=10, seed=2), build(channels=3, seed=3)
    hand_over(flow, rgb.state_dict(), reset_head=False, source="a")
    hand_over(back, flow.state_dict(), reset_head=False, source="b")
    grey = rgb.conv1.weight.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(back.conv1.weight, grey)


@pytest.mark.parametrize(("architecture", "frames"), [("tsn", 4), ("tsm", 16), ("tsn", 1)])
def test_between_architectures_and_clip_lengths(architecture: str, frames: int) -> None:
    source, target = build(seed=1), build(seed=2, architecture=architecture, frames=frames)
    assert hand_over(target, source.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    assert torch.equal(target.layer3[0].conv1.weight, source.layer3[0].conv1.weight)


@pytest.mark.parametrize("architecture", ["tsm", "i3d"])
def test_a_new_classifier_has_the_deviation_that_is_asked_for(architecture: str) -> None:
    source = build(classes=9, architecture=architecture)
    target = build(classes=157, architecture=architecture, head_std=0.01)
    assert target.fc.weight.std().item() == pytest.approx(0.01, rel=0.05)
    hand_over(target, source.state_dict(), reset_head=False, source="a")
    assert target.fc.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not target.fc.bias.any()
    plain, other = build(architecture=architecture), build(architecture=architecture, head_std=0.01)
    torch.testing.assert_close(other.fc.weight, 10 * plain.fc.weight)  # the same draws


@pytest.mark.parametrize(("classes", "reset"), [(5, True), (7, False), (7, True), (1000, False)])
def test_new_head(classes: int, reset: bool) -> None:
    source, target = build(classes=classes, seed=1), build(classes=5, seed=2)
    nn.init.ones_(target.fc.weight)
    nn.init.ones_(target.fc.bias)
    assert hand_over(target, source.state_dict(), reset_head=reset, source="a") == HandOver(True, False)
    assert target.fc.weight.shape == (5, 256)
    assert target.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert not target.fc.bias.any()
    assert not torch.equal(target.fc.weight, source.fc.weight)
    assert torch.equal(target.layer4[0].conv2.weight, source.layer4[0].conv2.weight)


def test_backbone_without_classifier() -> None:
    state = {name: value for name, value in build(seed=1).state_dict().items() if not name.startswith("fc.")}
    target = build(seed=2, channels=15)
    assert hand_over(target, state, reset_head=False, source="a") == HandOver(True, True)


def test_counters_of_old_files() -> None:
    """Keras-born files keep them as vectors of one number, files from before PyTorch 0.4.1 have none."""
    state = build(seed=1).state_dict()
    vectors = {
        name: value[None] + 3 if name.endswith("num_batches_tracked") else value for name, value in state.items()
    }
    target = build(seed=2)
    hand_over(target, vectors, reset_head=False, source="a")
    assert target.bn1.num_batches_tracked.item() == 3
    none = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert hand_over(build(seed=2), none, reset_head=False, source="a") == HandOver(False, False)


def test_half_precision_is_widened() -> None:
    state = {
        name: value.half() if value.is_floating_point() else value for name, value in build(seed=1).state_dict().items()
    }
    target = build(seed=2)
    hand_over(target, state, reset_head=False, source="a")
    assert all(parameter.dtype == torch.float32 for parameter in target.parameters())
    assert torch.equal(target.bn1.running_var, state["bn1.running_var"].float())


def test_what_does_not_fit_is_listed_and_nothing_is_loaded() -> None:
    state = build(seed=1).state_dict()
    state["layer9.0.conv1.weight"] = state.pop("layer1.0.conv1.weight")
    state["layer2.0.bn1.bias"] = torch.zeros(3)
    target = build(seed=2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(InputError) as caught:
        hand_over(target, state, reset_head=False, source="old.pth")
    assert caught.value.file == "old.pth"
    assert "1 missing, 1 unknown, 1 of another shape" in caught.value.message
    assert "layer1.0.conv1.weight is missing" in caught.value.message
    assert "layer9.0.conv1.weight is no parameter of the network" in caught.value.message
    assert "layer2.0.bn1.bias is (3,), the network's is (64,)" in caught.value.message
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_another_backbone_is_summarised() -> None:
    with pytest.raises(InputError, match=r"… and \d+ more") as caught:
        hand_over(build(), build(backbone="resnet50").state_dict(), reset_head=False, source="a")
    assert len(str(caught.value).splitlines()) < 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("conv1.weight", torch.zeros(32)),
        ("conv1.weight", torch.zeros(32, 10, 5, 5)),
        ("conv1.weight", torch.zeros(())),
        ("fc.weight", torch.zeros(5, 3)),
    ],
)
def test_malformed_ends(name: str, value: torch.Tensor) -> None:
    with pytest.raises(InputError, match=f"{name} is "):
        hand_over(build(), build().state_dict() | {name: value}, reset_head=False, source="a")


def test_classifier_without_bias() -> None:
    state = build().state_dict()
    del state["fc.bias"]
    with pytest.raises(InputError, match=r"fc\.bias is missing"):
        hand_over(build(), state, reset_head=False, source="a")
    assert hand_over(build(), state, reset_head=True, source="a").new_head
