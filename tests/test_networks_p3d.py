"""P3D ResNet: against a literal forward pass, sizes of the public port, clips of any size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from network_helpers import build_3d
from torch import Tensor, nn

from mml_core.config.networks.p3d import P3dNetwork
from mml_core.networks import (
    ClipShape,
    VideoNetwork,
    build_network,
    gflops_per_clip,
    parameters_millions,
)
from mml_core.networks.p3d import P3d

LAYERS = ("layer1", "layer2", "layer3", "layer4")


def tiny(**settings: Any) -> P3d:
    return build_3d("p3d", depth="tiny", **settings)


def lively(network: VideoNetwork) -> Any:
    """Give batch normalisation and the classifier values that hide no mistake."""
    torch.manual_seed(1)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 1.5)
        elif value.is_floating_point() and (value.ndim == 1 or name == "fc.weight"):
            nn.init.normal_(value, mean=float(value.ndim == 1 and name.endswith("weight")), std=0.2)
    return network.eval()


def planned(depth: int, *, frames: int = 16, channels: int = 3) -> P3d:
    """Return a network without weights."""
    config = P3dNetwork(modality="rgb", init="random", architecture="p3d", depth=depth)
    with torch.device("meta"):
        return build_network(config, ClipShape(frames, {"rgb": channels}), classes=400)


def literal(state: Mapping[str, Tensor], clip: Tensor) -> Tensor:
    """Return the features (F,) of a segment (T, C, H, W) by a network of one unit a stage, forms written out."""

    def normalised(x: Tensor, name: str) -> Tensor:
        mean, variance, gain, bias = (
            state[f"{name}.{key}"].reshape(-1, 1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * gain + bias

    def layer(x: Tensor, convolution: str, normalisation: str, **settings: Any) -> Tensor:
        return normalised(F.conv3d(x, state[f"{convolution}.weight"], **settings), normalisation)

    def halved(x: Tensor) -> Tensor:
        return torch.stack([x[:, :, first : first + 2].amax(dim=2) for first in range(0, x.shape[2], 2)], dim=2)

    x = clip.transpose(0, 1)[None]
    x = layer(x, "conv1_custom", "bn1", stride=(1, 2, 2), padding=(0, 3, 3)).relu()
    x = F.max_pool3d(x, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
    for number in (1, 2, 3, 4):
        x, unit, stride = halved(x), f"layer{number}.0", (1, 1, 1) if number == 1 else (1, 2, 2)
        y = layer(x, f"{unit}.conv1", f"{unit}.bn1", stride=stride).relu()
        if number == 4:
            y = layer(y, f"{unit}.conv_normal", f"{unit}.bn_normal", padding=(0, 1, 1)).relu()
        else:
            space = layer(y, f"{unit}.conv2", f"{unit}.bn2", padding=(0, 1, 1)).relu()
            time = layer(y if number == 2 else space, f"{unit}.conv3", f"{unit}.bn3", padding=(1, 0, 0)).relu()
            y = {1: time, 2: space + time, 3: space + time}[number]
        y = layer(y, f"{unit}.conv4", f"{unit}.bn4")
        x = (y + layer(x, f"{unit}.downsample.0", f"{unit}.downsample.1", stride=stride)).relu()
    return x[0].mean(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("frames", "size"), [(1, (33, 47)), (5, (32, 32)), (12, (37, 50)), (16, (48, 32)), (33, (20, 64))]
)
@pytest.mark.parametrize("channels", [2, 3])
def test_network_is_the_literal_one(frames: int, size: tuple[int, int], channels: int) -> None:
    network = lively(tiny(frames=frames, channels=channels)).double()
    clips = torch.randn(2, frames, channels, *size, dtype=torch.float64)
    with torch.no_grad():
        prediction = network(clips)
        features = torch.stack([literal(network.state_dict(), clip) for clip in clips])
    torch.testing.assert_close(prediction.features, features)
    torch.testing.assert_close(prediction.logits, F.linear(features, network.fc.weight, network.fc.bias))


@pytest.mark.parametrize(("frames", "times"), [(12, (6, 3, 2, 1)), (16, (8, 4, 2, 1)), (13, (7, 4, 2, 1))])
@pytest.mark.parametrize(("side", "places"), [(160, (40, 20, 10, 5)), (112, (28, 14, 7, 4)), (165, (42, 21, 11, 6))])
def test_sizes_by_stage(frames: int, times: tuple[int, ...], side: int, places: tuple[int, ...]) -> None:
    """Of 16 x 160 x 160 there remain 1 x 5 x 5, over which the port averages; odd sizes are rounded up."""
    network = planned(50, frames=frames)
    network.kept = LAYERS
    said = network.eval()(torch.empty(2, 3 * frames, 3, side, side, device="meta"))
    assert {name: tuple(maps.shape) for name, maps in said.maps.items()} == {
        f"layer{number + 1}": (2, 3, 256 * 2**number, times[number], places[number], places[number])
        for number in range(4)
    }
    assert (said.features.shape, said.logits.shape) == ((2, 2048), (2, 400))


@pytest.mark.parametrize(("depth", "units"), [(50, (3, 4, 6, 3)), (101, (3, 4, 23, 3)), (152, (3, 8, 36, 3))])
def test_forms_are_in_turn_through_the_whole_network(depth: int, units: tuple[int, ...]) -> None:
    network = planned(depth)
    assert tuple(len(network.get_submodule(name)) for name in LAYERS) == units
    forms = [[unit.form for unit in network.get_submodule(name)] for name in LAYERS]
    assert "".join(itertools.chain(*forms[:3])) == ("ABC" * sum(units))[: sum(units[:3])]
    assert forms[3] == ["space"] * 3
    assert forms[0] == ["A", "B", "C"] and forms[1][0] == "A"
    if depth == 152:
        assert "".join(forms[2][:3]) == "CAB", "res3 has eight units: the count runs on"


@pytest.mark.parametrize(
    ("depth", "channels", "parameters"),
    [
        (50, 3, 25_745_232),
        (50, 2, 25_742_096),
        (101, 3, 48_088_400),
        (101, 2, 48_085_264),
        (152, 3, 66_492_240),
        (152, 2, 66_489_104),
    ],
)
def test_as_many_parameters_as_the_port(depth: int, channels: int, parameters: int) -> None:
    """Counted by the port's own class with 400 classes: P3D63, P3D131 and P3D199."""
    assert parameters_millions(planned(depth, channels=channels)) == pytest.approx(parameters / 1e6, abs=1e-9)


def test_tiny_one_is_small() -> None:
    network = tiny()
    assert parameters_millions(network) < 1
    assert gflops_per_clip(network, (16, 3, 56, 56)) < 0.1


def test_cost_of_a_tiny_one_from_a_table_of_its_convolutions() -> None:
    """Segments of 16 frames of 64 x 64: weights of each convolution times the places that it gives."""
    table = [(16 * 3 * 49, 16 * 32**2)]
    width = 16
    for number, places in enumerate((8 * 16**2, 4 * 8**2, 2 * 4**2, 1 * 2**2)):
        planes = 16 * 2**number
        pair = 9 * planes**2 + (3 * planes**2 if number < 3 else 0)
        table.append((width * planes + pair + planes * 4 * planes + width * 4 * planes, places))
        width = 4 * planes
    operations = sum(weights * places for weights, places in table) + 512 * 5
    assert gflops_per_clip(tiny(), (16, 3, 64, 64)) == pytest.approx(operations / 1e9, rel=1e-9)


def test_segments_are_by_themselves_and_their_mean_counts() -> None:
    network, clips = lively(tiny(frames=4)), torch.randn(2, 12, 3, 32, 32)
    network.kept = ("layer1", "layer4")
    with torch.no_grad():
        together, alone = network(clips), [network(segment) for segment in clips.split(4, dim=1)]
    torch.testing.assert_close(together.logits, sum(one.logits for one in alone) / 3, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.features, sum(one.features for one in alone) / 3, rtol=1e-4, atol=1e-5)
    for name, maps in together.maps.items():
        torch.testing.assert_close(maps, torch.cat([one.maps[name] for one in alone], dim=1), rtol=1e-4, atol=1e-5)


def test_dropout_is_before_the_classifier() -> None:
    network, clips = tiny(dropout=0.9, frames=4), torch.randn(1, 4, 3, 32, 32)
    network.eval()
    assert torch.equal(network(clips).logits, network(clips).logits)
    network.dropout.train()
    seen: list[Tensor] = []
    network.fc.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    features = network(clips).features
    assert 0.05 < (seen[0] != 0).float().mean() / (features != 0).float().mean() < 0.15


def test_weights_are_drawn_by_the_fan_out() -> None:
    network = tiny()
    drawn = {"conv1_custom": 16 * 49, "layer3.0.conv2": 64 * 9, "layer3.0.conv3": 64 * 3, "layer4.0.conv_normal": 1152}
    for name, fan_out in drawn.items():
        assert network.get_submodule(name).weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
    assert network.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert not network.fc.bias.any()


def test_every_parameter_gets_a_gradient_and_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network, clips, labels = tiny(frames=4).train(), torch.randn(4, 4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(clips).logits, labels)
        loss.backward()
        losses.append(loss.item())
        assert all(value.grad is not None and value.grad.any() for value in network.parameters())
        optimizer.step()
    assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("shape", [(1, 15, 3, 32, 32), (1, 16, 2, 32, 32), (16, 3, 32, 32), (1, 0, 3, 32, 32)])
def test_clips_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, S \* 16, 3, H, W\), got"):
        tiny()(torch.randn(shape))


def test_it_can_be_laid_out_as_it_says() -> None:
    """All of its convolutions are over clips, those of the last stage too."""
    network, clips = lively(tiny(frames=3)), torch.randn(1, 3, 3, 32, 32)
    with torch.no_grad():
        before = network(clips).logits
        moved = network.to(memory_format=network.memory_format)
        torch.testing.assert_close(moved(clips).logits, before, rtol=1e-4, atol=1e-5)
