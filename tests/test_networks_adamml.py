"""AdaMML: decisions, what runs for them, what learns from them, what they cost, and whose weights fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from choosing import CHANNELS, SMALL, Calls, clips, prescribe, small
from network_helpers import build_3d
from pydantic import TypeAdapter
from torch import Tensor

from mml_core.config.networks import NetworkConfig
from mml_core.errors import InputError
from mml_core.networks import ClipShape, build_network, gflops_per_clip, hand_over
from mml_core.networks.adamml import AdaMml, LateFusion
from mml_core.networks.cost import Cost, cost_of_scores
from mml_core.networks.memory import saved_bytes

THREE = {"streams": ["rgb", "flow", "audio"], "proxies": {"flow": "diff"}}
INPUTS = ("rgb", "flow", "audio", "diff")


def of_three(**settings: object) -> AdaMml:
    backbones = dict.fromkeys(("rgb", "flow", "audio"), "resnet_tiny")
    return small(**THREE, backbones=backbones, **settings)


def test_scores_are_those_of_the_chosen_streams_weighted_and_averaged_over_segments() -> None:
    """Worked out stream by stream and segment by segment."""
    choices = torch.tensor([[[1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    network, inputs = prescribe(small(), choices), clips()
    with torch.no_grad():
        network.fusion.first.fill_(0.3)
        said = network(*inputs)
        expected, features = torch.zeros(3, 5), torch.zeros(3, 512)
        for video in range(3):
            for segment in range(2):
                for index, weight in enumerate((0.3, 0.7)):
                    if choices[video, segment, index]:
                        part = inputs[index][[video], 4 * segment : 4 * segment + 4]
                        one = network.streams[("rgb", "flow")[index]](part)
                        expected[video] += weight * one.logits[0] / 2
                        features[video, 256 * index : 256 * index + 256] += one.features[0] / 2
    torch.testing.assert_close(said.logits, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(said.features, features, rtol=1e-4, atol=1e-5)
    assert torch.equal(said.choices, choices) and said.options == ("rgb", "flow")
    assert not said.logits[2].any(), "where nothing is chosen all classes are equal"


def test_streams_run_in_testing_where_they_are_chosen_and_nowhere_else() -> None:
    """One call for all of a batch; none where a stream is chosen in no segment."""
    for rgb, flow, expected in (
        ([[1, 0], [1, 1], [0, 0]], [[0, 0], [0, 0], [0, 0]], {"rgb": [3], "flow": []}),
        ([[0, 0], [0, 0], [0, 0]], [[0, 0], [0, 1], [0, 0]], {"rgb": [], "flow": [1]}),
        ([[1, 1], [1, 1], [1, 1]], [[1, 1], [1, 1], [1, 1]], {"rgb": [6], "flow": [6]}),
        ([[0, 0], [0, 0], [0, 0]], [[0, 0], [0, 0], [0, 0]], {"rgb": [], "flow": []}),
    ):
        choices = torch.stack([torch.tensor(rgb), torch.tensor(flow)], dim=2).float()
        network = prescribe(small(), choices)
        calls = Calls(network.streams)
        with torch.no_grad():
            assert torch.equal(network(*clips()).choices, choices)
        assert calls.segments == expected


@pytest.mark.parametrize("learning", ["streams", "policy", "fusion", "streams.rgb"])
def test_where_anything_learns_all_streams_run_in_all_segments(learning: str) -> None:
    network = small()
    network.get_submodule(learning).train()
    calls = Calls(network.streams)
    network(*clips())
    assert calls.segments == {"rgb": [6], "flow": [6]}


@pytest.mark.parametrize("samples", [False, True])
def test_choices_in_testing_depend_neither_on_the_batch_nor_on_what_was_drawn_before(samples: bool) -> None:
    network, inputs = small(samples=samples, seed=3), clips(videos=6, segments=3)
    with torch.no_grad():
        whole = network(*inputs)
        torch.rand(7)
        order = torch.tensor([4, 1, 0])
        some = network(*(one[order] for one in inputs))
        each = torch.cat([network(*(one[[video]] for one in inputs)).choices for video in range(6)])
    assert torch.equal(some.choices, whole.choices[order]) and torch.equal(each, whole.choices)
    torch.testing.assert_close(some.logits, whole.logits[order], rtol=1e-4, atol=1e-5)
    if samples:
        assert 0 < whole.choices.mean() < 1 and not torch.equal(whole.choices[0], whole.choices[1])


def test_decisions_are_discrete_and_drawn_where_anything_learns() -> None:
    network, inputs = small(), clips()
    network.streams.train()  # the policy is frozen: its decisions are drawn all the same
    torch.manual_seed(0)
    drawn = [network(*inputs).choices for _ in range(8)]
    assert {value for one in drawn for value in one.flatten().tolist()} == {0.0, 1.0}
    assert any(not torch.equal(one, drawn[0]) for one in drawn)
    torch.manual_seed(0)
    assert torch.equal(network(*inputs).choices, drawn[0]), "they are a function of torch's generator"


def test_gradients_reach_all_of_the_policy_and_nothing_else_at_its_turn() -> None:
    network = small()
    network.requires_grad_(False)
    network.policy.train().requires_grad_(True)
    network(*clips()).logits[:, 0].sum().backward()
    for name, one in network.named_parameters():
        assert (one.grad is not None) == name.startswith("policy."), name
    for name in ("looks.rgb.conv1", "looks.flow.layer4.0.conv1", "joint.0", "lstm", "heads.rgb", "heads.flow"):
        assert any(one.grad.any() for one in network.policy.get_submodule(name).parameters()), name


def test_gradients_reach_streams_and_weights_at_theirs() -> None:
    choices = torch.ones(3, 2, 2)
    network = prescribe(small(), choices)
    network.streams.train(), network.fusion.train()
    network(*clips()).logits[:, 0].sum().backward()
    assert network.fusion.first.grad.any()
    for stream in network.streams.values():
        assert stream.conv1.weight.grad.any() and stream.fc.weight.grad.any()


def test_each_decision_follows_from_what_was_seen_up_to_it() -> None:
    """Scores of a segment change with that one and those before it, and not with those behind it."""
    network, (rgb, flow) = small(seed=2), clips(segments=3)
    with torch.no_grad():
        before = network.policy({"rgb": rgb, "flow": flow})
        other = rgb.clone()
        other[:, 4:8] += 3
        after = network.policy({"rgb": other, "flow": flow})
    assert before.shape == (3, 3, 2, 2)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1]) and not torch.allclose(before[:, 2], after[:, 2])


def test_the_policy_worked_out_by_hand() -> None:
    """Every second frame at its size; joint features, and the scores of the segment before, into the LSTM."""
    network, inputs = small(seed=2), dict(zip(("rgb", "flow"), clips(), strict=True))
    policy, state, before, expected = network.policy, None, torch.zeros(3, 4), []
    with torch.no_grad():
        for segment in range(2):
            features = []
            for name, clip in inputs.items():
                frames = clip[:, 4 * segment : 4 * segment + 4][:, [0, 2]]
                small_frames = torch.nn.functional.interpolate(frames.flatten(0, 1), (16, 16), mode="bilinear")
                features.append(policy.looks[name].features_of(small_frames.unflatten(0, (3, 1, 2)))[:, 0])
            state = policy.lstm(torch.cat([policy.joint(torch.cat(features, dim=1)), before], dim=1), state)
            before = torch.cat([policy.heads["rgb"](state[0]), policy.heads["flow"](state[0])], dim=1)
            expected.append(before.reshape(3, 2, 2))
        torch.testing.assert_close(policy(inputs), torch.stack(expected, dim=1), rtol=1e-4, atol=1e-5)


def test_it_hears_and_sees_differences_in_place_of_flow() -> None:
    network, inputs = of_three(), clips(INPUTS)
    assert network.inputs == INPUTS and network.policy.looks["flow"].channels == CHANNELS["diff"]
    with torch.no_grad():
        said = network(*inputs)
        moved = network.policy({"rgb": inputs[0], "flow": inputs[3] + 1, "audio": inputs[2]})
        still = network.policy({"rgb": inputs[0], "flow": inputs[3], "audio": inputs[2]})
    assert said.choices.shape == (3, 2, 3) and said.options == ("rgb", "flow", "audio")
    assert not torch.allclose(moved, still)


def test_weights_of_the_fusion_add_up_to_one_and_start_equal() -> None:
    fusion = LateFusion(3)
    torch.testing.assert_close(fusion.weights(), torch.full((3,), 1 / 3))
    with torch.no_grad():
        fusion.first.copy_(torch.tensor([0.9, -0.2]))
    torch.testing.assert_close(fusion.weights(), torch.tensor([0.9, -0.2, 0.3]))
    logits = torch.randn(2, 4, 3, 5)
    expected = 0.9 * logits[:, :, 0] - 0.2 * logits[:, :, 1] + 0.3 * logits[:, :, 2]
    torch.testing.assert_close(fusion(logits), expected)


def test_the_temperature_falls_with_each_alternation_and_shapes_gradients_alone() -> None:
    network = small(temperature=5.0, temperature_decay=0.965, temperature_epochs=2)
    told = []
    for epoch in (0, 1, 2, 39):
        network.start_epoch(epoch)
        told.append(network.temperature)
    assert told == pytest.approx([5.0, 5.0, 4.825, 5 * 0.965**19])
    network.policy.train()
    inputs, drawn = clips(), []
    for temperature in (5.0, 0.5):
        network.temperature = temperature
        torch.manual_seed(1)
        drawn.append(network(*inputs).choices)
    assert torch.equal(*drawn)


def test_names_of_parameters_say_whose_they_are() -> None:
    names = set(of_three().state_dict())
    assert {name.split(".")[0] for name in names} == {"streams", "policy", "fusion"}
    assert {"fusion.first", "policy.lstm.weight_ih", "policy.heads.audio.bias", "policy.joint.0.weight"} <= names
    assert {"streams.rgb.conv1.weight", "streams.audio.fc.bias", "policy.looks.flow.layer4.0.bn2.bias"} <= names
    assert not any(name.startswith("policy.looks.") and ".fc." in name for name in names)


def test_streams_say_what_they_said_alone_and_looks_take_weights_of_images() -> None:
    alone = build_3d("tsn_pool", frames=4, channels=4, backbone="resnet_tiny", seed=9).eval()
    network = small()
    assert not hand_over(network.streams["flow"], alone.state_dict(), reset_head=False, source="a").new_head
    flow = clips()[1]
    with torch.no_grad():
        assert torch.equal(network.streams["flow"](flow).logits, alone(flow).logits)
    look = network.policy.looks["rgb"]
    assert hand_over(look, alone.state_dict(), reset_head=False, source="a").converted_input
    assert torch.equal(look.layer3[0].conv1.weight, alone.layer3[0].conv1.weight)
    fresh = small(seed=5)
    hand_over(fresh, network.state_dict(), reset_head=False, source="a")
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in fresh.state_dict().items())
    back = build_3d("tsn_pool", frames=4, channels=3, backbone="resnet_tiny")
    assert hand_over(back, look.state_dict(), reset_head=False, source="a").new_head, "a look has no classifier"


def test_inputs_that_do_not_belong_together_are_refused() -> None:
    rgb, flow = clips()
    with pytest.raises(ValueError, match=r"as many videos and segments of all inputs, got \[\(3, 1\), \(3, 2\)\]"):
        small()(rgb, flow[:, :4])
    with pytest.raises(ValueError, match="as many videos and segments of all inputs"):
        small()(rgb[:2], flow)


def test_modalities_that_cannot_be_names_of_parts_are_told() -> None:
    config = {**SMALL, "streams": ["rgb", "values"], "backbones": {}}
    block = TypeAdapter(NetworkConfig).validate_python(config)
    with torch.device("meta"), pytest.raises(InputError, match="'values' cannot be the name of a part"):
        build_network(block, ClipShape(4, {"rgb": 3, "values": 3}), classes=2)


def shapes(inputs: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(one.shape[1:]) for one in inputs]


def test_cost_is_the_policys_and_the_share_of_each_stream_that_is_chosen() -> None:
    network, views = small(), shapes(clips(segments=4))
    cost = cost_of_scores(network, "", *views)
    segment = [(4, 3, 32, 40), (4, 4, 32, 40)]
    streams = [gflops_per_clip(network.streams[name], one) for name, one in zip(("rgb", "flow"), segment, strict=True)]
    assert cost.chosen == pytest.approx([4 * one for one in streams], rel=1e-12)
    none, half = np.zeros((1, 4, 2)), np.array([[[1, 0], [0, 0], [1, 0], [0, 1]]], dtype=np.float32)
    policy = cost.gflops - sum(cost.chosen)
    assert policy > 0
    np.testing.assert_allclose(cost.by_choices(none), [policy])
    np.testing.assert_allclose(cost.by_choices(half), [policy + 2 * streams[0] + streams[1]])
    np.testing.assert_allclose(cost.by_choices(np.ones((2, 4, 2))), [cost.gflops] * 2)
    assert cost.parameters == sum(one.numel() for one in network.parameters())
    np.testing.assert_allclose(Cost(1, 2.5).by_choices(half), [2.5])


def test_cost_at_the_papers_size_is_that_of_the_authors_program() -> None:
    """Their constants for rgb and sound, of a segment: streams 14.135984128 and 0.381739008, policy 0.3754464,
    0.381739008 and 0.002359296 for the LSTM. Theirs leave out classifiers, and what joins the policy's features.
    """
    streams = {"streams": ["rgb", "audio"], "backbones": {"audio": "mobilenet_v2"}, "init": "random"}
    config = TypeAdapter(NetworkConfig).validate_python({"architecture": "adamml", **streams})
    with torch.device("meta"):
        network = build_network(config, ClipShape(8, CHANNELS), classes=31)
    cost = cost_of_scores(network, "", (80, 3, 224, 224), (10, 1, 1, 30_720))
    assert cost.chosen[0] / 10 == pytest.approx(14.135984128 + 2048 * 31 / 1e9, abs=1e-8)
    assert cost.chosen[1] / 10 == pytest.approx(0.381739008 + 1280 * 31 / 1e9, abs=1e-8)
    policy = (cost.gflops - sum(cost.chosen)) / 10
    joint, heads = (2 * 1280 * 2048 + 2048 * 2048) / 1e9, 4 * 256 / 1e9
    lstm = (2048 + 4 + 256) * 4 * 256 / 1e9
    assert policy == pytest.approx(0.3754464 + 0.381739008 + lstm + joint + heads, abs=1e-8)
    assert lstm == pytest.approx(0.002359296 + 0.000004096, abs=1e-9), "theirs leaves out the scores of before"


def test_memory_of_a_step_is_sketched_in_both_precisions() -> None:
    network, views = of_three(), shapes(clips(INPUTS))
    network.policy.train()
    full, mixed = (saved_bytes(network, views, mixed=one, clips=16) for one in (False, True))
    assert 0 < mixed < full
