"""3-D ResNeXt: against a literal forward pass, sizes in between, parameters and operations counted from a table."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from network_helpers import build_3d
from torch import Tensor, nn

from mml_core.config.networks.resnext3d import ResNext3dNetwork
from mml_core.networks import ClipShape, HandOver, build_network, gflops_per_clip, hand_over, parameters_millions
from mml_core.networks.resnext3d import ResNext3d


def tiny(**settings: int) -> ResNext3d:
    return build_3d("resnext3d", depth="tiny", **settings)


def lively(network: nn.Module) -> nn.Module:
    """Give batch normalisation and the classifier values that hide no mistake."""
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 1.5)
        elif value.is_floating_point() and (value.ndim == 1 or name == "fc.weight"):
            nn.init.normal_(value, mean=float(value.ndim == 1 and name.endswith("weight")), std=0.2)
    return network


def planned(depth: int | str, frames: int, *, channels: int = 3, classes: int = 400) -> ResNext3d:
    """Return a network without weights."""
    config = ResNext3dNetwork(modality="rgb", init="random", architecture="resnext3d", depth=depth)
    with torch.device("meta"):
        return build_network(config, ClipShape(frames, {"rgb": channels}), classes=classes)


def literal(state: Mapping[str, Tensor], clip: Tensor, cardinality: int) -> Tensor:
    """Return the features (F,) of a segment (T, C, H, W) by a network with one block a stage."""

    def normalised(x: Tensor, name: str) -> Tensor:
        mean, variance, gain, bias = (
            state[f"{name}.{key}"].reshape(-1, 1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * gain + bias

    x = F.conv3d(clip.transpose(0, 1)[None], state["conv1.weight"], stride=(1, 2, 2), padding=3)
    x = F.max_pool3d(F.relu(normalised(x, "bn1")), 3, stride=2, padding=1)
    for number, stride in ((1, 1), (2, 2), (3, 2), (4, 2)):
        block = f"layer{number}.0"
        y = F.relu(normalised(F.conv3d(x, state[f"{block}.conv1.weight"]), f"{block}.bn1"))
        groups = [
            F.conv3d(part, weight, stride=stride, padding=1)
            for part, weight in zip(
                y.chunk(cardinality, dim=1), state[f"{block}.conv2.weight"].chunk(cardinality), strict=True
            )
        ]
        y = F.relu(normalised(torch.cat(groups, dim=1), f"{block}.bn2"))
        y = normalised(F.conv3d(y, state[f"{block}.conv3.weight"]), f"{block}.bn3")
        shortcut = F.conv3d(x, state[f"{block}.downsample.0.weight"], stride=stride)
        x = F.relu(y + normalised(shortcut, f"{block}.downsample.1"))
    return x[0].mean(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("frames", "size", "cardinality"), [(1, (33, 47), 32), (5, (32, 32), 8), (16, (56, 56), 32), (7, (20, 64), 1)]
)
@pytest.mark.parametrize("channels", [2, 3])
def test_network_is_the_literal_one(frames: int, size: tuple[int, int], cardinality: int, channels: int) -> None:
    network = lively(tiny(frames=frames, channels=channels, cardinality=cardinality)).double().eval()
    clips = torch.randn(2, frames, channels, *size, dtype=torch.float64)
    with torch.no_grad():
        prediction = network(clips)
        features = torch.stack([literal(network.state_dict(), clip, cardinality) for clip in clips])
    torch.testing.assert_close(prediction.features, features)
    torch.testing.assert_close(prediction.logits, F.linear(features, network.fc.weight, network.fc.bias))


def test_segments_are_by_themselves_and_their_mean_counts() -> None:
    network, clips = lively(tiny(frames=4)).eval(), torch.randn(2, 12, 3, 32, 32)
    network.kept = ("layer1", "layer3")
    with torch.no_grad():
        together, alone = network(clips), [network(segment) for segment in clips.split(4, dim=1)]
    torch.testing.assert_close(together.logits, sum(one.logits for one in alone) / 3, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.features, sum(one.features for one in alone) / 3, rtol=1e-4, atol=1e-5)
    assert set(together.maps) == {"layer1", "layer3"}
    for name, maps in together.maps.items():
        torch.testing.assert_close(maps, torch.cat([one.maps[name] for one in alone], dim=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [50, 101])
@pytest.mark.parametrize("frames", [16, 64])
def test_what_remains_is_the_fixed_window_of_the_published_networks(depth: int, frames: int) -> None:
    """ceil(T / 16) x ceil(112 / 32) x ceil(112 / 32), over which the authors' code averages."""
    network = planned(depth, frames, channels=2)
    network.kept = ("layer1", "layer2", "layer3", "layer4")
    prediction = network.eval()(torch.empty(2, frames, 2, 112, 112, device="meta"))
    sizes = {name: tuple(maps.shape[1:]) for name, maps in prediction.maps.items()}
    assert sizes["layer1"] == (1, 256, frames // 2, 28, 28)
    assert sizes["layer2"] == (1, 512, frames // 4, 14, 14)
    assert sizes["layer3"] == (1, 1024, frames // 8, 7, 7)
    assert sizes["layer4"] == (1, 2048, math.ceil(frames / 16), 4, 4)
    assert prediction.features.shape == (2, 2048)
    assert prediction.logits.shape == (2, 400)


def convolutions(blocks: tuple[int, ...], frames: int, channels: int) -> list[tuple[int, int]]:
    """Return (weights, places) of each convolution for segments of 112 x 112, worked out by hand."""
    places = [frames // 2 * 28**2, frames // 2 * 28**2, frames // 4 * 14**2, frames // 8 * 7**2, frames // 16 * 4**2]
    found, width = [(64 * channels * 343, frames * 56**2)], 64
    for stage, count in enumerate(blocks, start=1):
        planes = 64 * 2**stage
        for block in range(count):
            found.append((width * planes, places[stage - 1 if block == 0 else stage]))
            found += [(27 * planes * planes // 32, places[stage]), (planes * 2 * planes, places[stage])]
            if block == 0:
                found.append((width * 2 * planes, places[stage]))
            width = 2 * planes
    return found


@pytest.mark.parametrize(("depth", "blocks"), [(50, (3, 4, 6, 3)), (101, (3, 4, 23, 3))])
@pytest.mark.parametrize("frames", [16, 64])
@pytest.mark.parametrize("channels", [2, 3])
def test_cost_from_a_table_of_its_convolutions(depth: int, blocks: tuple[int, ...], frames: int, channels: int) -> None:
    table, classifier = convolutions(blocks, frames, channels), 2048 * 400
    normalised = 64 + sum(64 * 2**stage * (4 * count + 2) for stage, count in enumerate(blocks, start=1))
    network = planned(depth, frames, channels=channels)
    parameters = sum(weights for weights, _ in table) + 2 * normalised + classifier + 400
    assert parameters_millions(network) == pytest.approx(parameters / 1e6, abs=1e-9)
    operations = sum(weights * places for weights, places in table) + classifier
    assert gflops_per_clip(network, (frames, channels, 112, 112)) == pytest.approx(operations / 1e9, rel=1e-9)


def test_cost_of_the_network_of_mars() -> None:
    """The authors' class with 400 classes has as many parameters."""
    assert parameters_millions(planned(101, 16)) == pytest.approx(48.340816, abs=1e-9)
    assert parameters_millions(planned(101, 16, channels=2)) == pytest.approx(48.318864, abs=1e-9)
    assert gflops_per_clip(planned(101, 16), (16, 3, 112, 112)) == pytest.approx(9.57, abs=0.01)
    assert gflops_per_clip(planned(101, 64), (64, 3, 112, 112)) == pytest.approx(38.27, abs=0.01)


def test_tiny_one_is_small() -> None:
    network = tiny()
    assert parameters_millions(network) < 1
    assert gflops_per_clip(network, (16, 3, 56, 56)) < 0.3


def test_weights_are_drawn_by_the_fan_out() -> None:
    """He et al. 2015; a group's kernel counts with all output channels, as torch and so the authors' code have it."""
    network = tiny()
    for name, fan_out in {"conv1": 16 * 343, "layer3.0.conv2": 128 * 27, "layer4.0.downsample.0": 512}.items():
        assert network.get_submodule(name).weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
    assert network.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert not network.fc.bias.any()


@pytest.mark.parametrize("shape", [(1, 15, 3, 32, 32), (1, 16, 2, 32, 32), (16, 3, 32, 32), (1, 0, 3, 32, 32)])
def test_clips_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, S \* 16, 3, H, W\), got"):
        tiny()(torch.randn(shape))


def test_every_parameter_gets_a_gradient_and_training_lowers_the_loss() -> None:
    network = tiny(channels=2, frames=8)
    network.to(memory_format=network.memory_format)
    clips, labels = torch.randn(4, 8, 2, 32, 32), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(network(clips).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1


def test_detached_classifier_learns_by_itself() -> None:
    network = lively(tiny(frames=4))
    network.detached = True
    network(torch.randn(2, 4, 3, 32, 32)).logits.square().sum().backward()
    assert {name for name, one in network.named_parameters() if one.grad is not None} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(("old", "new"), [(3, 2), (2, 3), (2, 2)])
def test_between_modalities(old: int, new: int) -> None:
    source, target = tiny(channels=old, seed=1), tiny(channels=new, frames=64, seed=2)
    kept = {name: value.clone() for name, value in source.state_dict().items()}
    assert hand_over(target, kept, reset_head=False, source="ce.rgb") == HandOver(False, old != new)
    first = kept.pop("conv1.weight")
    expected = first if old == new else first.mean(dim=1, keepdim=True).expand(-1, new, -1, -1, -1)
    torch.testing.assert_close(target.conv1.weight.detach(), expected)
    assert all(torch.equal(value, kept[name]) for name, value in target.state_dict().items() if name in kept)


def test_to_other_classes_and_by_part() -> None:
    source, target = tiny(classes=400, seed=1), tiny(classes=5, seed=2)
    assert hand_over(target, source.state_dict(), reset_head=False, source="k400.rgb") == HandOver(True, False)
    assert target.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)
    other = tiny(seed=3)
    before = other.layer3[0].conv1.weight.detach().clone()
    layer4 = source.layer4.state_dict()
    assert hand_over(other.layer4, layer4, reset_head=False, source="k400.rgb.layer4") == HandOver(False, False)
    assert torch.equal(other.layer4[0].conv2.weight, source.layer4[0].conv2.weight)
    assert torch.equal(other.layer3[0].conv1.weight, before)
