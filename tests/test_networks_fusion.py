"""Streams that are fused: weighted sums, what parts cost, whose weights fit; of all three architectures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from choosing import CHANNELS, clips
from fusing import config_of, fusion
from network_helpers import build_3d
from pydantic import ValidationError
from torch import Tensor

from mml_core.errors import InputError
from mml_core.figures.activation import grad_cam
from mml_core.networks import ClipShape, build_network, gflops_per_clip, hand_over
from mml_core.networks.cost import cost_of_scores
from mml_core.networks.memory import saved_bytes

KINDS: dict[str, dict[str, Any]] = {
    "weighted": {"architecture": "weighted_fusion"},
    "unilateral": {"architecture": "lateral_fusion", "direction": "unilateral"},
    "bilateral": {"architecture": "lateral_fusion", "direction": "bilateral"},
    "gated": {"architecture": "gated_fusion"},
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
THREE = ("rgb", "flow", "audio")


def shapes(inputs: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(one.shape[1:]) for one in inputs]


def test_weighted_fusion_worked_out_by_hand() -> None:
    network, inputs = fusion("weighted_fusion", streams=list(THREE)), clips(THREE)
    with torch.no_grad():
        network.fusion.first.copy_(torch.tensor([0.5, 0.2]))
        said = network(*inputs)
        expected, features = torch.zeros(3, 5), []
        for name, weight, clip in zip(THREE, (0.5, 0.2, 0.3), inputs, strict=True):
            alone = network.streams[name](clip)
            expected += weight * alone.logits
            features.append(alone.features)
            torch.testing.assert_close(said.parts[name].logits, alone.logits)
            torch.testing.assert_close(said.parts[name].features, alone.features)
    torch.testing.assert_close(said.logits, expected)
    torch.testing.assert_close(said.features, torch.cat(features, dim=1))
    assert said.choices is None


@kinds
def test_scores_are_the_weighted_sum_of_those_of_the_parts(kind: dict[str, Any]) -> None:
    network, inputs = fusion(**kind, streams=list(THREE)), clips(THREE)
    with torch.no_grad():
        network.fusion.first.copy_(torch.tensor([0.5, 0.2]))
        said = network(*inputs)
    assert tuple(said.parts) == THREE == config_of(**kind, streams=list(THREE)).heads
    parts = [one.logits for one in said.parts.values()]
    torch.testing.assert_close(said.logits, 0.5 * parts[0] + 0.2 * parts[1] + 0.3 * parts[2])
    assert said.logits.shape == (3, 5) and said.logits.dtype == torch.float32
    assert not torch.allclose(parts[0], parts[1])


@kinds
def test_scores_do_not_depend_on_the_batch(kind: dict[str, Any]) -> None:
    network, inputs = fusion(**kind, streams=list(THREE)), clips(THREE, videos=4, segments=3)
    with torch.no_grad():
        whole = network(*inputs)
        some = network(*(one[[2, 0]] for one in inputs))
    torch.testing.assert_close(some.logits, whole.logits[[2, 0]], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(some.parts["rgb"].logits, whole.parts["rgb"].logits[[2, 0]], rtol=1e-4, atol=1e-5)


@kinds
def test_streams_meet_in_their_segments_and_nowhere_else(kind: dict[str, Any]) -> None:
    """Scores are the mean over segments; what the others have in another segment counts there."""
    network, inputs = fusion(**kind, streams=list(THREE)), clips(THREE, segments=2)
    first, second = zip(*(one.chunk(2, dim=1) for one in inputs), strict=True)
    crossed = [inputs[0], *(torch.cat([b, a], dim=1) for a, b in zip(first[1:], second[1:], strict=True))]
    with torch.no_grad():
        expected = (network(*first).logits + network(*second).logits) / 2
        torch.testing.assert_close(network(*inputs).logits, expected, rtol=1e-4, atol=1e-5)
        independent = torch.allclose(network(*crossed).logits, expected, rtol=1e-4, atol=1e-5)
    assert independent == (kind["architecture"] == "weighted_fusion")


@kinds
def test_gradients_reach_everything(kind: dict[str, Any]) -> None:
    network, inputs = fusion(**kind, streams=list(THREE)).train(), clips(THREE)
    network(*inputs).logits.square().sum().backward()
    assert all(one.grad is not None and one.grad.any() for one in network.parameters())


@kinds
def test_a_missing_modality_is_zeros_and_the_others_still_count(kind: dict[str, Any]) -> None:
    network, inputs = fusion(**kind, streams=list(THREE)), clips(THREE)
    with torch.no_grad():
        without = network(inputs[0], torch.zeros_like(inputs[1]), torch.zeros_like(inputs[2])).logits
        other = network(inputs[0] + 1, torch.zeros_like(inputs[1]), torch.zeros_like(inputs[2])).logits
    assert without.isfinite().all() and not torch.allclose(without, other)


@kinds
def test_streams_start_from_networks_by_themselves_and_hand_on_to_them(kind: dict[str, Any]) -> None:
    alone = {"rgb": build_3d("tsn_pool", frames=4, backbone="resnet_tiny", seed=9)}
    alone["audio"] = build_3d("mobilenet_v2", frames=4, channels=1, seed=8)
    network = fusion(**kind, streams=["rgb", "audio"], backbones={"rgb": "resnet_tiny", "audio": "mobilenet_v2"})
    for name, one in alone.items():
        hand_over(network.streams[name], one.state_dict(), reset_head=False, source="a")
        own = network.streams[name].state_dict()
        assert own and all(torch.equal(value, one.state_dict()[key]) for key, value in own.items())
    back = build_3d("tsn_pool", frames=4, backbone="resnet_tiny")
    new = hand_over(back, network.streams["rgb"].state_dict(), reset_head=False, source="a").new_head
    assert new == (kind["architecture"] == "gated_fusion"), "its streams have no classifiers"
    fresh = fusion(**kind, streams=["rgb", "audio"], backbones={"rgb": "resnet_tiny", "audio": "mobilenet_v2"}, seed=5)
    hand_over(fresh, network.state_dict(), reset_head=False, source="a")
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in fresh.state_dict().items())


@kinds
def test_classifiers_are_drawn_anew_for_other_classes_and_stems_take_other_channels(kind: dict[str, Any]) -> None:
    network, other = fusion(**kind), fusion(**kind, classes=7, seed=3)
    assert hand_over(other, network.state_dict(), reset_head=False, source="a").new_head
    for name in other.classifiers:
        assert other.get_submodule(name).weight.shape[0] == 7 and other.get_submodule(name).weight.std() < 0.01
    assert torch.equal(other.streams["rgb"].layer1[0].conv1.weight, network.streams["rgb"].layer1[0].conv1.weight)
    deeper = build_network(config_of(**kind), ClipShape(4, {**CHANNELS, "flow": 10}), classes=5)
    assert hand_over(deeper, network.state_dict(), reset_head=False, source="a").converted_input


@kinds
def test_cost_of_the_whole_and_of_a_part(kind: dict[str, Any]) -> None:
    network, inputs = fusion(**kind), clips(segments=3)
    views = shapes(inputs)
    cost, rgb, flow = (cost_of_scores(network, part, *views) for part in ("", "rgb", "flow"))
    assert cost.parameters == sum(one.numel() for one in network.parameters())
    assert cost.chosen == () and rgb.gflops < cost.gflops and flow.gflops < cost.gflops
    if kind["architecture"] == "gated_fusion":
        return  # its streams say nothing by themselves
    alone = [gflops_per_clip(stream, view) for stream, view in zip(network.streams.values(), views, strict=True)]
    if kind["architecture"] == "weighted_fusion":
        assert cost.gflops == pytest.approx(sum(alone), rel=1e-12)
        assert [rgb.gflops, flow.gflops] == pytest.approx(alone, rel=1e-12)
    elif kind["direction"] == "unilateral":
        assert flow.gflops == pytest.approx(alone[1], rel=1e-12) and alone[0] < rgb.gflops
        assert rgb.parameters == cost.parameters - flow_tail(network) - 1, "of flow its last stage is left out"
    else:
        assert rgb.gflops > alone[0] and flow.gflops > alone[1]


def flow_tail(network: torch.nn.Module) -> int:
    """Return the parameters of flow's last stage and classifier."""
    flow = network.streams["flow"]
    return sum(one.numel() for part in (flow.layer4, flow.fc) for one in part.parameters())


@kinds
def test_asking_for_a_part_changes_nothing_of_what_it_says(kind: dict[str, Any]) -> None:
    network, inputs = fusion(**kind, streams=list(THREE)), clips(THREE)
    with torch.no_grad():
        said = network(*inputs).parts
        for name in THREE:
            network.ask(name)
            one = network(*inputs)
            assert set(one.parts) == {name} and torch.equal(one.logits, one.parts[name].logits)
            torch.testing.assert_close(one.logits, said[name].logits)


@pytest.mark.parametrize(("other", "published"), [("flow", 304.75), ("diff", 320.48)])
def test_cost_of_the_weighted_fusion_at_the_papers_size_is_the_published_one(other: str, published: float) -> None:
    """Table 2, ten segments of 8 frames; stacks of 5 have 10 and 15 channels."""
    channels = {"rgb": 3, "flow": 10, "diff": 15}
    block = config_of("weighted_fusion", streams=["rgb", other], backbones={})
    with torch.device("meta"):
        network = build_network(block, ClipShape(8, channels), classes=31)
    cost = cost_of_scores(network, "", *((80, channels[name], 224, 224) for name in ("rgb", other)))
    assert cost.gflops == pytest.approx(published, abs=0.006)


def test_streams_of_a_weighted_fusion_that_are_not_asked_for_do_not_run() -> None:
    network, ran = fusion("weighted_fusion"), []
    for name, stream in network.streams.items():
        stream.conv1.register_forward_hook(lambda *_, name=name: ran.append(name))
    network.ask("flow")
    network(*clips())
    assert ran == ["flow"]


@kinds
def test_memory_of_a_step_is_sketched_in_both_precisions(kind: dict[str, Any]) -> None:
    network, views = fusion(**kind, streams=list(THREE)).train(), shapes(clips(THREE))
    full, mixed = (saved_bytes(network, views, mixed=one, clips=2) for one in (False, True))
    assert 0 < mixed < full


@kinds
def test_activation_maps_are_those_of_the_first_stream(kind: dict[str, Any]) -> None:
    network, inputs = fusion(**kind), clips(segments=2)
    maps = grad_cam(network, inputs, label=1)
    assert network.cam_layer == "streams.rgb.layer4"
    assert maps.shape[:2] == (3, 2), "of 4 frames one is left in each of two segments"
    assert maps.any()
    other = fusion(**kind, backbones={"rgb": "mobilenet_v2", "flow": "resnet_tiny"})
    assert grad_cam(other, inputs, label=1).shape[:2] == (3, 2), "of 4 frames one is left, 2 x 2 places each"


@kinds
def test_inputs_that_do_not_belong_together_are_refused(kind: dict[str, Any]) -> None:
    rgb, flow = clips()
    with pytest.raises(ValueError, match=r"as many videos and segments of all inputs, got \[\(3, 1\), \(3, 2\)\]"):
        fusion(**kind)(rgb, flow[:, :4])
    with pytest.raises(ValueError, match="as many videos and segments of all inputs"):
        fusion(**kind)(rgb[:2], flow)


@kinds
def test_modalities_that_cannot_be_names_of_parts_are_told(kind: dict[str, Any]) -> None:
    block = config_of(**kind, streams=["rgb", "keys"])
    with torch.device("meta"), pytest.raises(InputError, match="'keys' cannot be the name of a part"):
        build_network(block, ClipShape(4, {"rgb": 3, "keys": 3}), classes=2)


@kinds
def test_parts_are_modules_and_heads_are_not(kind: dict[str, Any]) -> None:
    block, network = config_of(**kind), fusion(**kind)
    for part in (*block.parts, "streams.rgb", "streams.flow"):
        assert block.has_part(part) and network.get_submodule(part) is not None
    assert {name.split(".")[0] for name in network.state_dict()} == set(block.parts)
    assert not block.has_part("rgb") and not block.has_part("streams.audio")
    for frozen in (["streams.rgb", "streams.flow", *(part for part in block.parts if part != "streams")], block.parts):
        with pytest.raises(ValidationError, match="frozen: all parts are listed"):
            config_of(**kind, frozen=frozen)


def test_first_weights_fit_where_streams_are_alike() -> None:
    weighted, gated = config_of("weighted_fusion"), config_of("gated_fusion")
    assert weighted.misfit("", weighted, "") is None
    assert gated.misfit("streams.rgb", weighted, "streams.rgb") is None
    assert "of another architecture" in str(gated.misfit("", weighted, ""))
    assert "other backbones" in str(weighted.misfit("", config_of("weighted_fusion", backbones={}), ""))
    assert "other streams" in str(weighted.misfit("", config_of("weighted_fusion", streams=["rgb", "audio"]), ""))
    one, both = (config_of("lateral_fusion", direction=way) for way in ("unilateral", "bilateral"))
    assert both.misfit("", one, "") == "has unilateral connections" and one.misfit("", one, "") is None
    assert one.misfit("streams.flow", both, "streams.flow") is None
    assert config_of("adamml").misfit("streams.rgb", weighted, "streams.rgb") is None
    sizes = config_of("weighted_fusion", backbones={"rgb": "resnet18", "flow": "mobilenet_v2"})
    assert sizes.download("imagenet", "streams.rgb") == "resnet18"
    assert sizes.download("imagenet", "streams.flow") == "mobilenet_v2" and sizes.download("imagenet", "") is None
    assert sizes.size_of_features() == "rgb resnet18 and flow mobilenet_v2" and sizes.size == "resnet18+mobilenet_v2"
