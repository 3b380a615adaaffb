"""P3D networks that look at each other: against their branches, stage by stage, and against P3Ds alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from network_helpers import build_3d
from pydantic import TypeAdapter
from test_networks_memory import counted
from test_networks_p3d import lively
from torch import Tensor

from mml_core.config.learning import SgdConfig
from mml_core.config.networks import NetworkConfig
from mml_core.errors import InputError
from mml_core.figures.attention import attention_maps, last_block, looked_at
from mml_core.networks import (
    ClipShape,
    HandOver,
    build_network,
    gflops_per_clip,
    hand_over,
    parameter_groups,
    parameters_millions,
)
from mml_core.networks.memory import saved_bytes

BODY = ("conv1_custom", "bn1", "layer1", "layer2", "layer3")


def build(*, frames: int = 5, seed: int = 0, classes: int = 5, **settings: Any) -> Any:
    """Return a network, by default of two narrow branches over rgb and single flow fields."""
    torch.manual_seed(seed)
    block = {"architecture": "cma3d", "init": "random", "depth": "tiny", **settings}
    config = TypeAdapter(NetworkConfig).validate_python(block)
    return build_network(config, ClipShape(frames, {"rgb": 3, "flow": 2, "diff": 3}), classes=classes)


def clips(frames: int = 5, segments: int = 1, side: tuple[int, int] = (45, 62), batch: int = 2) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(batch, segments * frames, channels, *side, generator=generator) for channels in (3, 2))


def by_hand(network: Any, rgb: Tensor, flow: Tensor) -> list[Tensor]:
    """Return the logits of both branches for one segment of each video, with the attention written out."""
    branches, x = (network.rgb, network.flow), [rgb.transpose(1, 2), flow.transpose(1, 2)]
    x = [one.maxpool(one.bn1(one.conv1_custom(clip)).relu()) for one, clip in zip(branches, x, strict=True)]
    for layer in ("layer1", "layer2", "layer3"):
        x = [one.get_submodule(layer)(clip) for one, clip in zip(branches, x, strict=True)]
    x = [looking(branches[one].attention["layer3"], x[one], x[1 - one]) for one in (0, 1)]
    return [one.fc(one.layer4(clip).mean(dim=(2, 3, 4))) for one, clip in zip(branches, x, strict=True)]


def looking(block: Any, x: Tensor, y: Tensor) -> Tensor:
    """Return equations 1 and 5: every place and time of `x` looks at every pooled place of `y`, at all times."""
    seen = torch.nn.functional.max_pool3d(y, (1, 2, 2), ceil_mode=True)
    q, k, v = (
        torch.einsum("oc,ncthw->nothw", one.weight[:, :, 0, 0, 0], what).flatten(2)
        for one, what in ((block.query, x), (block.key, seen), (block.value, seen))
    )
    shares = (torch.einsum("nci,ncj->nij", q, k) / q.shape[1] ** 0.5).softmax(dim=2)
    z = torch.einsum("nij,ncj->nci", shares, v).unflatten(2, x.shape[2:])
    return x + block.bn(torch.einsum("oc,ncthw->nothw", block.out.weight[:, :, 0, 0, 0], z))


@pytest.mark.parametrize(("frames", "side"), [(1, (33, 40)), (5, (45, 62)), (12, (64, 50)), (16, (33, 64))])
def test_branches_look_at_each_other_behind_res4(frames: int, side: tuple[int, int]) -> None:
    network, (rgb, flow) = lively(build(frames=frames)), clips(frames, side=side)
    with torch.no_grad():
        said, expected = network(rgb, flow), by_hand(network, rgb, flow)
    for one, logits in zip(said.parts.values(), expected, strict=True):
        torch.testing.assert_close(one.logits, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(said.logits, sum(expected) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_one_block_behind_the_last_unit_of_res4(depth: int) -> None:
    """Section 5.6. It has half of 1024 channels inside, and a query at each of 2 x 10 x 10 places and times."""
    with torch.device("meta"):
        network, alone = build(frames=16, depth=depth), build_3d("p3d", depth=depth)
        flow = build_3d("p3d", depth=depth, channels=2)
    block = network.rgb.attention["layer3"]
    assert tuple(block.query.weight.shape) == (512, 1024, 1, 1, 1)
    assert last_block(network, "flow") == "flow.attention.layer3"
    own = (4 * 512 * 1024 + 2 * 1024) / 1e6
    streams = parameters_millions(alone) + parameters_millions(flow)
    assert parameters_millions(network) == pytest.approx(streams + 2 * own, abs=1e-9)
    shape = (16, 3, 160, 160), (16, 2, 160, 160)
    looks = 512 * 1024 * (200 + 50 + 50 + 200) + 2 * 200 * 50 * 512
    both = gflops_per_clip(alone, shape[0]) + gflops_per_clip(flow, shape[1])
    assert gflops_per_clip(network, *shape) == pytest.approx(both + 2 * looks / 1e9, rel=1e-9)


@pytest.mark.parametrize("frames", [12, 16])
def test_at_the_start_it_says_what_its_streams_say(frames: int) -> None:
    alone = [lively(build_3d("p3d", depth="tiny", frames=frames, channels=channels)) for channels in (3, 2)]
    network, both = build(frames=frames).eval(), clips(frames, segments=2, side=(48, 40))
    for name, one in zip(("rgb", "flow"), alone, strict=True):
        branch = network.get_submodule(name)
        assert hand_over(branch, one.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    with torch.no_grad():
        said, expected = network(*both), [one(clip) for one, clip in zip(alone, both, strict=True)]
    for one, logits in zip(said.parts.values(), expected, strict=True):
        torch.testing.assert_close(one.logits, logits.logits)
    torch.testing.assert_close(said.features, torch.cat([one.features for one in expected], dim=1))


def test_segments_are_by_themselves_and_their_mean_counts() -> None:
    network, (rgb, flow) = lively(build()), clips(segments=3)
    with torch.no_grad():
        whole = network(rgb, flow)
        single = [network(*both) for both in zip(rgb.split(5, dim=1), flow.split(5, dim=1), strict=True)]
    for name in ("rgb", "flow"):
        mean = torch.stack([one.parts[name].logits for one in single]).mean(dim=0)
        torch.testing.assert_close(whole.parts[name].logits, mean, rtol=1e-4, atol=1e-5)


def test_scores_are_weighted() -> None:
    network = lively(build(fusion={"rgb": 5, "flow": 1}))
    with torch.no_grad():
        said = network(*clips())
    torch.testing.assert_close(said.logits, (5 * said.parts["rgb"].logits + said.parts["flow"].logits) / 6)


@pytest.mark.parametrize("asked", ["rgb", "flow"])
def test_of_the_other_branch_only_what_is_looked_at_is_computed(asked: str) -> None:
    other = {"rgb": "flow", "flow": "rgb"}[asked]
    both, one = lively(build()), lively(build(scores=[asked]))
    ran: set[str] = set()
    for name, module in one.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.add(name))
    with torch.no_grad():
        said, whole = one(*clips()), both(*clips())
    torch.testing.assert_close(said.logits, whole.parts[asked].logits)
    assert {f"{other}.layer3", f"{asked}.attention.layer3", f"{asked}.layer4"} <= ran
    assert not ran & {f"{other}.layer4", f"{other}.attention.layer3", f"{other}.fc"}
    assert one.state_dict().keys() == both.state_dict().keys()


def test_only_the_block_and_what_is_behind_it_learns() -> None:
    """Section 5.6. All else stays bit by bit, statistics of batch normalisation included, and gets no gradient."""
    frozen = ("flow", *(f"rgb.{part}" for part in BODY))
    network = lively(build(dropout=0.0)).train()
    for part in frozen:
        network.get_submodule(part).eval().requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    groups = parameter_groups(network, SgdConfig(groups="plain"), new_head=False, frozen=frozen)
    network(*clips()).parts["rgb"].logits.square().sum().backward()
    learning = [name for name, value in network.named_parameters() if value.grad is not None]
    assert {name.split(".")[1] for name in learning} == {"attention", "layer4", "fc"}
    assert all(name.startswith("rgb.") and network.get_parameter(name).grad.any() for name in learning)
    torch.optim.SGD(groups, lr=0.1).step()
    moved = {name for name, value in before.items() if not torch.equal(network.state_dict()[name], value)}
    behind = ("rgb.attention.", "rgb.layer4.", "rgb.fc.")
    assert moved == {name for name in before if name.startswith(behind)}


def test_stages_hand_over_whole_networks_branches_and_parts() -> None:
    parent, network = lively(build(seed=1)), build(seed=2)
    assert hand_over(network, parent.state_dict(), reset_head=False, source="a") == HandOver(False, False)
    assert all(torch.equal(value, parent.state_dict()[name]) for name, value in network.state_dict().items())
    network = build(seed=3, classes=7)
    assert hand_over(network.rgb, parent.rgb.state_dict(), reset_head=False, source="a").new_head
    assert torch.equal(network.rgb.attention["layer3"].bn.weight, parent.rgb.attention["layer3"].bn.weight)
    network = build(seed=4)
    hand_over(network.rgb.layer4, parent.rgb.layer4.state_dict(), reset_head=False, source="a")
    assert torch.equal(network.rgb.layer4[0].conv_normal.weight, parent.rgb.layer4[0].conv_normal.weight)
    flow = build_3d("p3d", depth="tiny", channels=3, seed=5)
    assert hand_over(network.flow, flow.state_dict(), reset_head=False, source="a") == HandOver(False, True)
    state = {name: value for name, value in parent.rgb.state_dict().items() if ".query." not in name}
    with pytest.raises(InputError, match=r"attention\.layer3\.query\.weight is missing"):
        hand_over(build().rgb, state, reset_head=False, source="a")


def test_maps_of_its_stages_are_kept() -> None:
    network, both = lively(build()), clips(segments=2)
    network.kept = ("rgb.layer1", "flow.layer3", network.cam_layer)
    maps = network(*both).maps
    assert {name: tuple(one.shape) for name, one in maps.items()} == {
        "rgb.layer1": (2, 2, 64, 3, 12, 16),
        "flow.layer3": (2, 2, 256, 1, 3, 4),
        "rgb.layer4": (2, 2, 512, 1, 2, 2),
    }
    torch.testing.assert_close(maps["rgb.layer4"].mean(dim=(1, 3, 4, 5)), network(*both).parts["rgb"].features)


def test_where_places_look_at_all_times() -> None:
    network, both = lively(build(frames=16)), clips(16, segments=2, side=(64, 96))
    maps = attention_maps(network, both, last_block(network, "rgb"))
    assert maps.shape == (2, 2, 2, 4, 6, 2, 2, 3)
    torch.testing.assert_close(maps.sum(dim=(5, 6, 7)), torch.ones(2, 2, 2, 4, 6))
    heat = looked_at(maps, query=(0.9, 0.1), side=24)
    assert heat.shape == (2, 4, 24, 24)
    mean = maps[:, :, :, 3, 0].mean(dim=2).flatten(1, 2)
    assert heat.flatten(2).amax(dim=2).argmax(dim=1).tolist() == mean.flatten(2).amax(dim=2).argmax(dim=1).tolist()


def test_any_two_modalities_of_any_size() -> None:
    network = lively(build(rgb="diff"))
    diff, flow = torch.randn(2, 5, 3, 40, 24), torch.randn(2, 5, 2, 33, 17)
    assert network(diff, flow).logits.shape == (2, 5)
    with pytest.raises(ValueError, match="expected as many frames of both"):
        network(diff, flow[:, :1])
    with pytest.raises(ValueError, match=r"expected \(B, S \* 5, 3, H, W\)"):
        network(diff[:, :, :2], flow)


@pytest.mark.parametrize("frozen", [(), ("flow", *(f"rgb.{part}" for part in BODY))])
def test_memory_is_estimated_with_its_attention(frozen: tuple[str, ...]) -> None:
    network, shapes = build().train(), [(5, 3, 64, 64), (5, 2, 64, 64)]
    whole = saved_bytes(network, shapes, mixed=False)
    for part in frozen:
        network.get_submodule(part).eval().requires_grad_(False)
    estimate = saved_bytes(network, shapes, mixed=False)
    assert estimate < whole / 5 if frozen else estimate == whole
    assert estimate == pytest.approx(counted(network, [torch.randn(1, *shape) for shape in shapes]), rel=0.1)


def test_it_can_be_laid_out_as_it_says() -> None:
    network, both = lively(build()), clips()
    with torch.no_grad():
        before = network(*both).logits
        moved = network.to(memory_format=network.memory_format)
        torch.testing.assert_close(moved(*both).logits, before, rtol=1e-4, atol=1e-5)
