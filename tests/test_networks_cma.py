"""Networks that look at each other: against their branches, run by hand unit by unit, and against ResNets alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_helpers import build as build_resnet
from pydantic import TypeAdapter, ValidationError
from test_networks_memory import counted
from torch import Tensor, nn
from torchvision.models import resnet50

from mml_core.config.learning import SgdConfig
from mml_core.config.networks import NetworkConfig
from mml_core.errors import InputError
from mml_core.networks import (
    ClipShape,
    HandOver,
    VideoNetwork,
    build_network,
    gflops_per_clip,
    hand_over,
    parameter_groups,
    parameters_millions,
)
from mml_core.networks.attentive import stretches
from mml_core.networks.cost import cost_of_scores
from mml_core.networks.inputs import Input, inputs_of
from mml_core.networks.memory import saved_bytes

PAPER = ["layer2.1", "layer2.3", "layer3.1", "layer3.3", "layer3.5"]


def build(architecture: str = "cma", *, segments: int = 1, seed: int = 0, classes: int = 5, **settings: Any) -> Any:
    """Return a network, by default of two narrow branches over rgb and stacks of five flow fields."""
    torch.manual_seed(seed)
    block = {"architecture": architecture, "init": "random", "backbone": "resnet_tiny", **settings}
    channels = {"rgb": 3, "flow": 10, "diff": 15}
    config = TypeAdapter(NetworkConfig).validate_python(block)
    return build_network(config, ClipShape(1, channels, segments), classes=classes)


def lively(network: VideoNetwork, seed: int = 1) -> Any:
    """Give batch normalisation and classifiers values that hide no mistake, those of new blocks above all."""
    torch.manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 1.5)
        elif value.is_floating_point() and value.ndim == 1:
            nn.init.normal_(value, mean=float(name.endswith("weight")), std=0.2)
        elif "fc.weight" in name:
            nn.init.normal_(value, std=0.1)
    return network.eval()


def clips(images: int = 2, side: tuple[int, int] = (45, 38), batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(batch, images, channels, *side, generator=generator) for channels in (3, 10))


def by_hand(network: Any, rgb: Tensor, flow: Tensor, units: Mapping[str, tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Return the logits of both branches, in torchvision's order of modules, for one image of one video each."""
    branches, x = (network.rgb, network.flow), [rgb[0], flow[0]]
    x = [one.maxpool(one.bn1(one.conv1(image)).relu()) for one, image in zip(branches, x, strict=True)]
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        for number in range(len(network.rgb.get_submodule(layer))):
            x = [one.get_submodule(layer)[number](image) for one, image in zip(branches, x, strict=True)]
            if number + 1 in units.get(layer, ()):
                for index, one in enumerate(branches):
                    if layer in one.non_local:
                        x[index] = one.non_local[layer][str(number)](x[index], x[index])
                looks = [one.attention[layer][str(number)] for one in branches]
                x = [looks[0](x[0], x[1]), looks[1](x[1], x[0])]
    return tuple(one.fc(image.mean(dim=(2, 3))) for one, image in zip(branches, x, strict=True))


@given(st.dictionaries(st.sampled_from(["layer1", "layer2", "layer3"]), st.sets(st.integers(1, 6), min_size=1)))
def test_stretches_are_all_modules_in_order_cut_behind_the_units(units: dict[str, set[int]]) -> None:
    lengths = {"layer1": 6, "layer2": 6, "layer3": 6, "layer4": 6}
    parts = stretches(lengths, {layer: tuple(sorted(numbers)) for layer, numbers in units.items()})
    names = [
        name for layer in lengths for name in ([f"{layer}.{unit}" for unit in range(6)] if layer in units else [layer])
    ]
    assert [name for part in parts for name in part] == names
    places = [f"{layer}.{number - 1}" for layer in lengths for number in sorted(units.get(layer, ()))]
    assert [part[-1] for part in parts[:-1]] == places
    assert parts[-1][-1] == "layer4"


@pytest.mark.parametrize(
    ("backbone", "places"),
    [
        ("resnet_tiny", ["layer2.0", "layer3.0"]),
        ("resnet18", ["layer2.1", "layer3.1"]),
        ("resnet34", PAPER),
        ("resnet50", PAPER),
        ("resnet101", ["layer2.1", "layer2.3", "layer3.6", "layer3.13", "layer3.20"]),
    ],
)
def test_blocks_are_behind_every_other_unit(backbone: str, places: list[str]) -> None:
    """Section 4.1: behind units 2 and 4 of res3 and 2, 4 and 6 of res4; channels and size follow the ResNet."""
    with torch.device("meta"):
        network = build(backbone=backbone)
    for branch in (network.rgb, network.flow):
        blocks = {name.rpartition(".query")[0] for name, _ in branch.attention.named_parameters() if "query" in name}
        assert blocks == set(places) == set(branch.places)
        wide = (
            {"layer2": 128, "layer3": 256} if backbone in ("resnet18", "resnet34") else {"layer2": 512, "layer3": 1024}
        )
        wide = {"layer2": 64, "layer3": 128} if backbone == "resnet_tiny" else wide
        assert {name: branch.attention.get_submodule(name).bn.num_features for name in places} == {
            name: wide[name.partition(".")[0]] for name in places
        }


def test_parameters_are_those_of_two_resnets_and_of_blocks() -> None:
    """A block of C channels has 4 C C / 2 weights, and a scale and a shift for each channel."""
    with torch.device("meta"):
        network = build(backbone="resnet50", classes=400)
    one = sum(value.numel() for value in resnet50(num_classes=400).parameters())
    stem = 64 * 7 * 49
    blocks = sum(number * (2 * wide * wide + 2 * wide) for number, wide in ((2, 512), (3, 1024)))
    assert parameters_millions(network) * 1e6 == pytest.approx(2 * one + stem + 2 * blocks)
    assert gflops_per_clip(network, (1, 3, 224, 224), (1, 10, 224, 224)) == pytest.approx(11.39, abs=0.01)


@pytest.mark.parametrize("training", [True, False])
def test_at_the_start_branches_are_tsns(training: bool) -> None:
    """Handed over from two TSNs, whatever blocks there are: each says what it said, and the whole their mean."""
    settings = {"dropout": 0.0, "architecture": "tsn", "frames": 1}
    alone = {name: lively(build_resnet(channels=c, **settings), c) for name, c in (("rgb", 3), ("flow", 10))}
    network = build(non_local=["flow"], fusion={"rgb": 5, "flow": 1}, dropout=0.0)
    for name, one in alone.items():
        assert hand_over(network.get_submodule(name), one.state_dict(), reset_head=False, source="a") == HandOver(
            False, False
        )
        one.train(training)
    taken = dict(zip(("rgb", "flow"), clips(), strict=True))
    said = network.train(training)(*taken.values())
    expected = {name: one(taken[name]) for name, one in alone.items()}
    assert list(said.parts) == ["rgb", "flow"]
    for name, one in expected.items():
        torch.testing.assert_close(said.parts[name].logits, one.logits)
        torch.testing.assert_close(said.parts[name].features, one.features)
    torch.testing.assert_close(said.logits, (5 * expected["rgb"].logits + expected["flow"].logits) / 6)
    assert said.features.shape == (2, 2 * 256)


@pytest.mark.parametrize("non_local", [[], ["rgb"], ["rgb", "flow"]], ids=str)
@pytest.mark.parametrize(
    ("backbone", "behind"),
    [("resnet_tiny", None), ("resnet18", {"layer1": [1], "layer3": [1, 2]}), ("resnet18", {"layer2": [1]})],
    ids=str,
)
def test_branches_look_at_each_other_unit_by_unit(
    backbone: str, behind: dict[str, list[int]] | None, non_local: list[str]
) -> None:
    network = lively(build(backbone=backbone, behind=behind, non_local=non_local))
    rgb, flow = clips(1, batch=1)
    with torch.no_grad():
        said = network(rgb, flow)
        expected = by_hand(network, rgb, flow, behind or {"layer2": (1,), "layer3": (1,)})
    for one, logits in zip(said.parts.values(), expected, strict=True):
        torch.testing.assert_close(one.logits, logits, rtol=1e-4, atol=1e-5)


def test_frames_are_by_themselves_and_the_clips_scores_their_mean() -> None:
    """Equation 6. Frame t of one branch looks at frame t of the other, in whatever number of segments."""
    network, (rgb, flow) = lively(build(segments=3)), clips(3)
    with torch.no_grad():
        whole = network(rgb, flow)
        single = [network(rgb[:, [frame]], flow[:, [frame]]) for frame in range(3)]
    for name in ("rgb", "flow"):
        mean = torch.stack([one.parts[name].logits for one in single]).mean(dim=0)
        torch.testing.assert_close(whole.parts[name].logits, mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("asked", ["rgb", "flow"])
def test_of_the_other_branch_only_what_is_looked_at_is_computed(asked: str) -> None:
    """Same scores; up to the last place, where the other branch does not look, and without its last layer."""
    other = {"rgb": "flow", "flow": "rgb"}[asked]
    both, one = lively(build(backbone="resnet18")), lively(build(backbone="resnet18", scores=[asked]))
    ran: list[str] = []
    for name, module in one.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    with torch.no_grad():
        said, whole = one(*clips()), both(*clips())
    assert list(said.parts) == [asked]
    torch.testing.assert_close(said.logits, whole.parts[asked].logits)
    assert said.logits is said.parts[asked].logits
    torch.testing.assert_close(said.features, whole.parts[asked].features)
    idle = {f"{other}.{name}" for name in ("layer4", "avgpool", "dropout", "fc", "attention.layer3.1")}
    weighted = {name.rpartition(".")[0] for name, _ in one.named_parameters()}
    not_run = weighted - {*ran}
    assert not {*ran} & idle
    assert not_run == {name for name in weighted if any(name == part or name.startswith(f"{part}.") for part in idle)}
    assert one.state_dict().keys() == both.state_dict().keys(), "weights go on to stages that ask for both"


def test_what_is_not_computed_is_not_counted() -> None:
    """Of a ResNet-18 at 64 x 64 the last layer has 2 x 2 places, the last block 4 x 4 queries and 2 x 2 keys."""
    views = (1, 3, 64, 64), (1, 10, 64, 64)
    with torch.device("meta"):
        both, one = (build(backbone="resnet18", scores=scores) for scores in (["rgb", "flow"], ["rgb"]))
    layer4 = 4 * (256 * 512 * 9 + 256 * 512 + 3 * 512 * 512 * 9)
    block = 256 * 128 * (16 + 4 + 4 + 16) + 2 * 16 * 4 * 128
    saved = (layer4 + block + 512 * 5) / 1e9
    assert gflops_per_clip(both, *views) - gflops_per_clip(one, *views) == pytest.approx(saved, rel=1e-6)
    assert cost_of_scores(both, "rgb", *views) == cost_of_scores(one, "", *views)
    assert cost_of_scores(both, "", *views).gflops == pytest.approx(gflops_per_clip(both, *views), rel=1e-12)
    assert both.asked == ("rgb", "flow"), "the network is left as it is"


def test_parameters_for_one_branch_are_those_of_the_paper_within_its_digits() -> None:
    """Table 2 prints 1.8 times a ResNet-50 for RGB's scores; counted is everything that runs for them."""
    with torch.device("meta"):
        network = build(backbone="resnet50", classes=400)
    views = (1, 3, 224, 224), (1, 10, 224, 224)
    whole = sum(value.numel() for value in network.parameters())
    assert cost_of_scores(network, "", *views).parameters == whole
    one = sum(value.numel() for value in resnet50(num_classes=400).parameters())
    assert cost_of_scores(network, "rgb", *views).parameters / one == pytest.approx(1.87, abs=0.005)


def test_each_input_may_have_a_scale_of_its_own() -> None:
    """Section 4.4: RGB as ImageNet's weights take it, flow in -1 to 1."""
    block = {"architecture": "cma", "init": "random", "flow": "tvl1", "scale": {"tvl1": "unit"}}
    config = TypeAdapter(NetworkConfig).validate_python(block)
    kinds = {"rgb": "rgb", "tvl1": "flow"}
    assert inputs_of(config, kinds) == (Input("rgb", "rgb", "imagenet"), Input("tvl1", "flow", "unit"))
    with pytest.raises(ValidationError, match="scale: 'flow' is no input; there are rgb, tvl1"):
        TypeAdapter(NetworkConfig).validate_python({**block, "scale": {"flow": "unit"}})


@pytest.mark.parametrize("frozen", ["flow", "rgb"])
def test_only_the_trained_branch_gets_gradients_and_moves(frozen: str) -> None:
    """The frozen branch's blocks are part of it. Its gradients pass through, and it stays bit by bit as it was."""
    trained = {"rgb": "flow", "flow": "rgb"}[frozen]
    network = lively(build(dropout=0.0)).train()
    network.get_submodule(frozen).eval().requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    groups = parameter_groups(network, SgdConfig(groups="plain"), new_head=False, frozen=(frozen,))
    optimizer = torch.optim.SGD(groups)
    network(*clips()).parts[trained].logits.square().sum().backward()
    assert all(value.grad is None for value in network.get_submodule(frozen).parameters())
    assert all(value.grad is not None and value.grad.any() for value in network.get_submodule(trained).parameters())
    optimizer.step()
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if name.startswith(frozen))
    moved = [name for name, value in before.items() if not torch.equal(after[name], value)]
    assert len(moved) == sum(name.startswith(trained) for name in before)


def test_a_branch_learns_from_what_the_frozen_one_sees_of_it() -> None:
    """The gradient of the trained branch's loss is exact: part of it goes through the blocks of the frozen branch."""
    network, (rgb, flow) = lively(build()), clips(1, (32, 32), batch=1)
    network.requires_grad_(False).double()
    weight = network.rgb.conv1.weight.requires_grad_(True)
    network(rgb.double(), flow.double()).parts["rgb"].logits[0, 0].backward()
    with torch.no_grad():
        moves = []
        for step in (1e-5, -2e-5):
            weight[4, 1, 3, 3] += step
            moves.append(network(rgb.double(), flow.double()).parts["rgb"].logits[0, 0].item())
    assert weight.grad[4, 1, 3, 3].item() == pytest.approx((moves[0] - moves[1]) / 2e-5, rel=1e-4)


def test_stages_hand_over_whole_networks_and_branches() -> None:
    parent, network = lively(build(seed=1)), build(seed=2)
    assert hand_over(network, parent.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    assert all(torch.equal(value, parent.state_dict()[name]) for name, value in network.state_dict().items())
    network = build(seed=3, classes=7)
    assert hand_over(network.rgb, parent.rgb.state_dict(), reset_head=False, source="a").new_head
    assert torch.equal(network.rgb.attention["layer2"]["0"].bn.weight, parent.rgb.attention["layer2"]["0"].bn.weight)
    assert network.rgb.fc.weight.shape[0] == 7 and not network.rgb.fc.bias.any()


def test_the_flow_branch_may_start_from_images() -> None:
    """Section 4.1: the first convolution has the mean of the weights in each channel."""
    images = {k: v for k, v in lively(build_resnet(frames=1)).state_dict().items() if not k.startswith("fc.")}
    network = build()
    assert hand_over(network.flow, images, reset_head=False, source="a") == HandOver(True, True)
    mean = images["conv1.weight"].mean(dim=1)
    assert all(torch.equal(network.flow.conv1.weight[:, channel], mean) for channel in range(10))
    assert torch.equal(network.flow.layer4[0].conv1.weight, images["layer4.0.conv1.weight"])
    assert not network.flow.attention["layer2"]["0"].bn.weight.any(), "blocks stay as they were drawn"


def test_blocks_that_are_there_in_part_are_an_error() -> None:
    state = build().rgb.state_dict()
    state = {name: value for name, value in state.items() if not name.startswith("attention.layer3")}
    with pytest.raises(InputError, match=r"attention\.layer3\.0\.query\.weight is missing"):
        hand_over(build().rgb, state, reset_head=False, source="a")


def test_a_non_local_network_is_a_tsn_until_its_blocks_learn() -> None:
    alone = lively(build_resnet(architecture="tsn", frames=1))
    network = build("non_local", modality="rgb").eval()
    assert hand_over(network, alone.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    rgb = clips()[0]
    with torch.no_grad():
        torch.testing.assert_close(network(rgb).logits, alone(rgb).logits)
        assert not torch.allclose(lively(network)(rgb).logits, alone(rgb).logits)
    assert [name for name in network.state_dict() if name.startswith("attention")] == []


def test_a_branch_takes_over_a_non_local_network() -> None:
    """Until the branch's own attention learns it says what the non-local network says, whatever the other one sees."""
    alone, network = lively(build("non_local", modality="rgb")), build(non_local=["rgb"]).eval()
    assert hand_over(network.rgb, alone.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    rgb, flow = clips()
    with torch.no_grad():
        torch.testing.assert_close(network(rgb, flow).parts["rgb"].logits, alone(rgb).logits)


def test_maps_of_inner_modules_are_kept() -> None:
    network, (rgb, flow) = lively(build()), clips()
    network.kept = ("rgb.layer1", "flow.layer3.0", network.cam_layer)
    maps = network(rgb, flow).maps
    assert {name: tuple(one.shape) for name, one in maps.items()} == {
        "rgb.layer1": (2, 2, 32, 12, 10),
        "flow.layer3.0": (2, 2, 128, 3, 3),
        "rgb.layer4": (2, 2, 256, 2, 2),
    }
    torch.testing.assert_close(maps["rgb.layer4"].mean(dim=(1, 3, 4)), network(rgb, flow).parts["rgb"].features)
    alone = build("non_local", modality="rgb")
    alone.kept = ("layer4", "non_local.layer2.0")
    assert list(alone(rgb).maps) == ["non_local.layer2.0", "layer4"]


def test_any_two_modalities_of_any_size() -> None:
    """Differences and flow instead of rgb and flow; pictures of the two may differ in size, frames not in number."""
    network = lively(build(rgb="diff", flow="flow"))
    assert (network.rgb.channels, network.flow.channels) == (15, 10)
    diff, flow = torch.randn(2, 2, 15, 40, 24), torch.randn(2, 2, 10, 33, 17)
    assert network(diff, flow).logits.shape == (2, 5)
    with pytest.raises(ValueError, match="expected as many frames of both"):
        network(diff, flow[:, :1])
    with pytest.raises(ValueError, match=r"expected \(B, S \* 1, 15, H, W\)"):
        network(diff[:, :, :3], flow)


def test_features_have_no_history_where_the_classifiers_learn_by_themselves() -> None:
    network = build()
    network.detached = True
    network(*clips()).logits.sum().backward()
    learnt = {name for name, value in network.named_parameters() if value.grad is not None}
    assert learnt == {"rgb.fc.weight", "rgb.fc.bias", "flow.fc.weight", "flow.fc.bias"}


@pytest.mark.parametrize("frozen", [None, "flow"])
def test_memory_is_estimated_with_its_attention(frozen: str | None) -> None:
    network, shapes = build().train(), [(2, 3, 64, 64), (2, 10, 64, 64)]
    whole = saved_bytes(network, shapes, mixed=False)
    if frozen:
        network.get_submodule(frozen).eval().requires_grad_(False)
    estimate = saved_bytes(network, shapes, mixed=False)
    assert (estimate < whole) == (frozen is not None)
    assert estimate == pytest.approx(counted(network, [torch.randn(1, *shape) for shape in shapes]), rel=0.1)
