"""Streams that are multiplied into: against a forward pass by hand, unit by unit, and against ResNets alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from network_helpers import build as build_resnet
from pydantic import TypeAdapter, ValidationError
from test_networks_cma import lively
from test_networks_memory import counted
from torch import Tensor
from torchvision.models.resnet import Bottleneck

from mml_core.config.networks import NetworkConfig
from mml_core.config.networks.multiplier import MultiplierNetwork
from mml_core.errors import InputError
from mml_core.networks import ClipShape, HandOver, build_network, gflops_per_clip, hand_over
from mml_core.networks.cost import cost_of_scores
from mml_core.networks.inputs import Input, inputs_of
from mml_core.networks.memory import saved_bytes
from mml_core.networks.multiplier_stream import ResidualUnit, TemporalConvolution

FRAMES = 3
TINY = {"init": "random", "backbone": "resnet_tiny"}
LAYERS = ("layer1", "layer2", "layer3", "layer4")
CHANNELS = {"rgb": 3, "flow": 10, "diff": 15}


def config_of(**settings: Any) -> Any:
    return TypeAdapter(NetworkConfig).validate_python(
        {"architecture": "multiplier", "source": "flow", **TINY, **settings}
    )


def build(*, frames: int = FRAMES, seed: int = 0, classes: int = 5, **settings: Any) -> Any:
    """Return a network, by default of two narrow streams over rgb and, as the source, stacks of five flow fields."""
    torch.manual_seed(seed)
    return build_network(config_of(**settings), ClipShape(frames, CHANNELS), classes=classes)


def stream(**settings: Any) -> Any:
    torch.manual_seed(4)
    block = {"architecture": "multiplier_stream", "modality": "rgb", **TINY, **settings}
    config = TypeAdapter(NetworkConfig).validate_python(block)
    return build_network(config, ClipShape(FRAMES, CHANNELS), classes=5)


def stirred(network: Any) -> Any:
    """Give all parameters values that hide no mistake, temporal convolutions too."""
    lively(network)
    for name, value in network.named_parameters():
        if "temporal" in name:
            value.data += 0.1 * torch.randn(value.shape)
    return network


def clips(images: int = FRAMES, side: tuple[int, int] = (45, 38), batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(batch, images, channels, *side, generator=generator) for channels in (3, 10))


def along_time(x: Tensor, weight: Tensor) -> Tensor:
    """Return `x` (B * T, C, H, W) convolved over T, a frame at a time."""
    y = torch.zeros_like(x)
    for image in range(len(x)):
        for step in range(3):
            frame = image % FRAMES + step - 1
            if 0 <= frame < FRAMES:
                y[image] += torch.einsum("oc,chw->ohw", weight[:, :, step, 0], x[image + step - 1])
    return y


def by_hand(network: Any, target: Tensor, source: Tensor, inject: str) -> dict[str, Tensor]:
    """Return the logits of both streams, with f and x of equation 2 written out."""
    x = {}  # the sum before the ReLU, and what comes out of it
    for name, one in (("target", target), ("source", source)):
        own = network.get_submodule(name)
        normal = own.bn1(own.conv1(one.flatten(0, 1)))
        x[name] = (F.max_pool2d(normal, 3, 2, 1), F.max_pool2d(normal.relu(), 3, 2, 1))
    for layer in LAYERS:
        units = len(network.target.get_submodule(layer))
        for number in range(units):
            signal = x["source"][1]
            for name in x:
                sums, after = x[name]
                inner = after
                if name == "target" and number == min(1, units - 1) and inject != "none":
                    inner = sums * signal if inject == "mul" else after + sums * signal
                unit = network.get_submodule(f"{name}.{layer}.{number}")
                y = unit.bn1(unit.conv1(inner)).relu()
                if hasattr(unit, "conv3"):
                    y = unit.bn2(unit.conv2(y)).relu()
                if number == min(1, units - 1):
                    y = along_time(y, unit.temporal.weight)
                y = unit.bn3(unit.conv3(y)) if hasattr(unit, "conv3") else unit.bn2(unit.conv2(y))
                shortcut = after if unit.downsample is None else unit.downsample(after)
                x[name] = (y + shortcut, (y + shortcut).relu())
    pooled = {name: after.mean(dim=(2, 3)).unflatten(0, (-1, FRAMES)).mean(dim=1) for name, (_, after) in x.items()}
    return {name: network.get_submodule(name).fc(one) for name, one in pooled.items()}


@pytest.mark.parametrize("inject", ["mul", "x_plus_mul", "none"])
@pytest.mark.parametrize("backbone", ["resnet_tiny", "resnet18", "resnet50"])
def test_a_forward_pass_is_equation_2_unit_by_unit(backbone: str, inject: str) -> None:
    if backbone == "resnet50" and inject != "mul":
        pytest.skip("bottlenecks differ in their convolutions alone")
    network = stirred(build(backbone=backbone, inject=inject)).double()
    target, source = (one.double() for one in clips(side=(40, 34), batch=1))
    with torch.no_grad():
        said, expected = network(target, source), by_hand(network, target, source, inject)
    assert list(said.parts) == ["target", "source"]
    for name, one in said.parts.items():
        torch.testing.assert_close(one.logits, expected[name])
    torch.testing.assert_close(said.logits, (said.parts["target"].logits + said.parts["source"].logits) / 2)
    assert said.features.shape == (1, sum(one.features.shape[1] for one in said.parts.values()))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_temporal_convolution_is_over_the_frames_of_a_segment(layout: torch.memory_format) -> None:
    x = torch.randn(2 * 2 * FRAMES, 4, 5, 7).to(memory_format=layout)
    convolution = TemporalConvolution(4, FRAMES)
    assert torch.equal(convolution(x), x), "the identity at the start, in the middle of the three frames"
    torch.nn.init.normal_(convolution.weight)
    with torch.no_grad():
        torch.testing.assert_close(convolution(x), along_time(x, convolution.weight), rtol=1e-4, atol=1e-5)


def test_units_are_torchvisions_until_their_temporal_convolution_learns() -> None:
    unit, x = Bottleneck(16, 4).eval(), torch.randn(2 * FRAMES, 16, 6, 5)
    with torch.no_grad():
        own = ResidualUnit(unit, FRAMES)
        torch.testing.assert_close(own.eval()(x).relu(), unit(x.relu()))
    assert own.temporal.weight.shape == (4, 4, 3, 1)


@pytest.mark.parametrize(
    ("backbone", "places"),
    [("resnet_tiny", 0), ("resnet18", 1), ("resnet34", 1), ("resnet50", 1), ("resnet101", 1)],
)
def test_second_units_have_temporal_convolutions(backbone: str, places: int) -> None:
    """Section 3.1; resnet_tiny has one unit a layer, which stands for the second."""
    with torch.device("meta"):
        network = build(backbone=backbone)
    found = {name.removesuffix(".weight") for name, _ in network.named_parameters() if "temporal" in name}
    assert found == {f"{name}.{layer}.{places}.temporal" for name in ("target", "source") for layer in LAYERS}
    assert found == {*network.additions}


@pytest.mark.parametrize("training", [True, False])
def test_a_stream_is_a_tsn_at_the_start(training: bool) -> None:
    alone = lively(build_resnet(architecture="tsn", frames=FRAMES, dropout=0.0)).train(training)
    network = stream().train(training)
    assert hand_over(network, alone.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    rgb = clips()[0]
    with torch.no_grad():
        said, expected = network(rgb), alone(rgb)
        torch.testing.assert_close(said.logits, expected.logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(said.features, expected.features, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(stirred(network)(rgb).logits, lively(alone)(rgb).logits)


def test_streams_are_handed_over_between_all_steps() -> None:
    """From a stream to a part, from a part to another, with statistics and temporal convolutions, to the bit."""
    rgb, joint, hallucinating = stirred(stream()), build(seed=1), build(privileged=True)
    assert hand_over(joint.target, rgb.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    assert all(torch.equal(value, joint.target.state_dict()[name]) for name, value in rgb.state_dict().items())
    stirred(joint)
    assert hand_over(hallucinating.target, joint.source.state_dict(), reset_head=False, source="a").converted_input
    assert hand_over(hallucinating.source, joint.source.state_dict(), reset_head=False, source="a") == HandOver(
        False, False
    )
    for name, value in joint.source.state_dict().items():
        assert torch.equal(value, hallucinating.source.state_dict()[name])
        assert name == "conv1.weight" or torch.equal(value, hallucinating.target.state_dict()[name])
    again = build(seed=7)
    assert hand_over(again, joint.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in joint.state_dict().items())


def test_images_start_a_stream_and_a_temporal_convolution_that_is_there_in_part_is_an_error() -> None:
    images = {k: v for k, v in lively(build_resnet(frames=1)).state_dict().items() if not k.startswith("fc.")}
    network = build()
    assert hand_over(network.source, images, reset_head=False, source="a") == HandOver(True, True)
    assert torch.equal(network.source.layer4[0].conv1.weight, images["layer4.0.conv1.weight"])
    weight = network.source.layer4[0].temporal.weight
    assert torch.equal(weight[:, :, 1, 0], torch.eye(len(weight))) and not weight[:, :, [0, 2]].any()
    state = stream().state_dict()
    state["layer4.0.temporal.other"] = state.pop("layer4.0.temporal.weight")
    with pytest.raises(InputError, match=r"layer4\.0\.temporal\.weight is missing"):
        hand_over(stream(), state, reset_head=False, source="a")


def test_without_connections_the_streams_are_by_themselves() -> None:
    network, (target, source) = stirred(build(inject="none")), clips()
    with torch.no_grad():
        said = network(target, source)
        for name, one in (("target", target), ("source", source)):
            torch.testing.assert_close(said.parts[name].logits, network.get_submodule(name)(one).logits)


def test_both_streams_may_read_the_same() -> None:
    """Step 4: the source hallucinates. One input goes into both."""
    network, rgb = stirred(build(source="rgb")), clips()[0]
    assert config_of(source="rgb").modalities == ("rgb",)
    with torch.no_grad():
        said, expected = network(rgb), network(rgb, rgb)
    torch.testing.assert_close(said.logits, expected.logits)
    assert list(said.parts) == ["target", "source"]


@pytest.mark.parametrize("inject", ["mul", "none"])
def test_a_privileged_source_is_there_in_training_only(inject: str) -> None:
    network, (target, source) = stirred(build(privileged=True, inject=inject)), clips()
    network.kept = ("target.layer4", "source.layer4")
    said = network.train()(target, source)
    assert list(said.parts) == ["target", "source"] and set(said.maps) == {*network.kept}
    assert torch.equal(said.logits, said.parts["target"].logits)
    network.eval()
    with torch.no_grad():
        alone, given, by_itself = network(target), network(target, source), network.target(target)
    for tested in (alone, given):
        assert list(tested.parts) == ["target"] and set(tested.maps) == {"target.layer4"}
        torch.testing.assert_close(tested.logits, by_itself.logits)
    network.target.layer4.train()
    assert "source" in network(target, source).parts, "where a part learns it is training"


@pytest.mark.parametrize("inject", ["mul", "x_plus_mul", "none"])
def test_the_target_alone_learns_beside_a_frozen_source(inject: str) -> None:
    network = stirred(build(privileged=True, inject=inject)).train()
    network.source.eval().requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(*clips()).logits.square().sum().backward()
    assert all(value.grad is None for value in network.source.parameters())
    assert all(value.grad is not None and value.grad.any() for value in network.target.parameters())
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("target.") for name in moved), "statistics of the source stay"


def test_the_source_learns_from_what_the_target_makes_of_it() -> None:
    """Step 2: the gradient goes through the connections. The step is so small that no ReLU turns within it."""
    network, (target, source) = stirred(build()).double(), clips(side=(32, 32), batch=1)
    weight, given = network.source.conv1.weight, (target.double(), source.double())
    network(*given).parts["target"].logits[0, 0].backward()
    with torch.no_grad():
        moves = []
        for step in (1e-7, -2e-7):
            weight[4, 1, 3, 3] += step
            moves.append(network(*given).parts["target"].logits[0, 0].item())
    assert weight.grad[4, 1, 3, 3].item() == pytest.approx((moves[0] - moves[1]) / 2e-7, rel=1e-4)


@pytest.mark.parametrize("part", ["target", "source"])
def test_of_the_other_stream_only_what_is_needed_is_computed(part: str) -> None:
    both, one = stirred(build()), stirred(build())
    one.ask(part)
    ran: set[str] = set()
    for name, module in one.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.add(name))
    with torch.no_grad():
        said, whole = one(*clips()), both(*clips())
    torch.testing.assert_close(said.logits, whole.parts[part].logits)
    assert list(said.parts) == [part]
    assert ("source.layer3.0" in ran, "source.layer4.0" in ran) == ((True, False) if part == "target" else (True, True))
    assert ("target.conv1" in ran) == (part == "target")


def test_cost_is_what_runs() -> None:
    """A temporal convolution of C channels has 3 C C weights, and as many operations at each place and frame."""
    views = (FRAMES, 3, 64, 64), (FRAMES, 10, 64, 64)
    network, tsn = build(), build_resnet(architecture="tsn", frames=FRAMES)
    widths = {32: 16 * 16, 64: 8 * 8, 128: 4 * 4, 256: 2 * 2}  # of the layers, and their places at 64 x 64
    more = sum(3 * wide * wide for wide in widths)
    own = sum(value.numel() for value in network.target.parameters())
    assert own == sum(value.numel() for value in tsn.parameters()) + more
    operations = FRAMES * sum(3 * wide * wide * places for wide, places in widths.items()) / 1e9
    alone = gflops_per_clip(network.target, views[0])
    assert alone == pytest.approx(gflops_per_clip(tsn, views[0]) + operations)
    privileged = build(privileged=True)
    assert cost_of_scores(privileged, "", views[0]) == cost_of_scores(privileged, "target", views[0])
    assert cost_of_scores(privileged, "", views[0]).parameters == own
    assert cost_of_scores(privileged, "", views[0]).gflops == pytest.approx(alone)
    whole, target, source = (cost_of_scores(network, part, *views) for part in ("", "target", "source"))
    assert whole.parameters == sum(value.numel() for value in network.parameters())
    assert source.parameters + own == whole.parameters and own < target.parameters < whole.parameters
    assert source.gflops + alone == pytest.approx(whole.gflops)


@pytest.mark.parametrize("frozen", [None, "source"])
def test_memory_is_estimated_with_connections(frozen: str | None) -> None:
    network, shapes = build().train(), [(FRAMES, 3, 64, 64), (FRAMES, 10, 64, 64)]
    whole = saved_bytes(network, shapes, mixed=False)
    if frozen:
        network.get_submodule(frozen).eval().requires_grad_(False)
    estimate = saved_bytes(network, shapes, mixed=False)
    assert (estimate < whole) == (frozen is not None)
    assert estimate == pytest.approx(counted(network, [torch.randn(1, *shape) for shape in shapes]), rel=0.1)


def test_maps_are_behind_the_last_relu() -> None:
    network, (rgb, flow) = stirred(build()), clips()
    network.kept = ("target.layer1", "source.layer3", network.cam_layer)
    said = network(rgb, flow)
    assert {name: tuple(one.shape) for name, one in said.maps.items()} == {
        "target.layer1": (2, FRAMES, 32, 12, 10),
        "source.layer3": (2, FRAMES, 128, 3, 3),
        "target.relu": (2, FRAMES, 256, 2, 2),
    }
    assert all((one >= 0).all() for one in said.maps.values())
    torch.testing.assert_close(said.maps["target.relu"].mean(dim=(1, 3, 4)), said.parts["target"].features)
    alone = stream()
    alone.kept = ("layer4", "relu")
    maps = alone(rgb).maps
    assert torch.equal(maps["layer4"], maps["relu"])


def test_clips_of_other_sizes_are_an_error() -> None:
    network, (rgb, flow) = build(), clips()
    for other in (flow[:, :, :, 1:], flow[:1]):
        with pytest.raises(ValueError, match="expected clips of one size in both streams"):
            network(rgb, other)
    with pytest.raises(ValueError, match=r"expected \(B, S \* 3, 10, H, W\)"):
        network(rgb, flow[:, :, :3])
    with pytest.raises(ValueError, match=r"expected \(B, S \* 3, 3, H, W\)"):
        network(rgb[:, :2], flow[:, :2])


def test_what_a_configuration_reads_and_has() -> None:
    config = config_of(privileged=True)
    kinds = {"rgb": "rgb", "flow": "flow"}
    assert [one.modality for one in inputs_of(config, kinds)] == ["rgb", "flow"]
    assert inputs_of(config, {"rgb": "rgb"}, testing=True) == (Input("rgb", "rgb", "imagenet"),)
    assert config.heads == ("target",) and config_of().heads == ("target", "source")
    assert config.has_part("source.fc") and not config.has_part("source.temporal")
    resnet50 = config_of(backbone="resnet50")
    assert resnet50.download("imagenet", "target") == "resnet50"
    assert resnet50.download("imagenet", "") is None and config.download("imagenet", "target") is None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"privileged": True, "source": "rgb"}, "privileged: both streams read rgb, which is there in testing"),
        ({"privileged": True, "frozen": True, "init": "a.net"}, "privileged: a frozen network predicts as in testing"),
        ({"frozen": ["target", "source"]}, "frozen: all parts are listed"),
        (
            {"frozen": ["target", *(f"source.{p}" for p in ("conv1", "bn1", *LAYERS, "fc"))]},
            "of both streams are listed",
        ),
        ({"frozen": ["depth"]}, "no part 'depth'; there are target, source"),
        ({"inject": "add"}, "Input should be 'mul', 'x_plus_mul' or 'none'"),
        ({"init": {"target": "a.b", "target.fc": "c.d"}}, "target.fc is within target"),
    ],
)
def test_impossible_configurations_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        config_of(**settings)


@pytest.mark.parametrize(
    ("part", "parent", "parent_part", "told"),
    [
        ("target", {"architecture": "multiplier_stream", "modality": "flow"}, "", None),
        ("target", {"architecture": "tsn", "modality": "rgb"}, "", None),
        ("target", {"architecture": "multiplier", "source": "flow"}, "source", None),
        ("", {"architecture": "multiplier", "inject": "none"}, "", None),
        ("target", {"architecture": "multiplier", "backbone": "resnet18"}, "source", "has a resnet18"),
        ("", {"architecture": "multiplier", "backbone": "resnet18"}, "", "has a resnet18"),
        ("target", {"architecture": "tsn", "modality": "rgb", "backbone": "resnet18"}, "", "is a resnet18"),
        ("target", {"architecture": "i3d", "modality": "rgb"}, "", "is an I3D"),
        ("target", {"architecture": "multiplier"}, "", "is of another architecture"),
        ("", {"architecture": "multiplier_stream", "modality": "rgb"}, "", "is of another architecture"),
        ("target", {"architecture": "non_local", "modality": "rgb"}, "", "is of another architecture"),
    ],
)
def test_whose_weights_fit(part: str, parent: dict[str, Any], parent_part: str, told: str | None) -> None:
    other = TypeAdapter(NetworkConfig).validate_python({**TINY, **parent})
    misfit = config_of().misfit(part, other, parent_part)
    assert (misfit is None) if told is None else told in misfit


def test_a_frozen_network_reads_what_it_has_read() -> None:
    frozen = config_of(frozen=True, init="a.net")
    assert isinstance(frozen, MultiplierNetwork) and frozen.misfit("", config_of(), "") is None
    assert "reads rgb and depth" in frozen.misfit("", config_of(source="depth"), "")
    block = {
        "architecture": "multiplier_stream",
        "modality": "rgb",
        "init": "a.net",
        "frozen": True,
        "backbone": "resnet_tiny",
    }
    alone = TypeAdapter(NetworkConfig).validate_python(block)
    assert "reads flow" in alone.misfit("", config_of(), "source")
    assert alone.misfit("", config_of(), "target") is None
