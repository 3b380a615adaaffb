"""Connections between streams: where they go, what they carry, what they are at first."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from choosing import CHANNELS, clips
from fusing import config_of, fusion
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d

from mml_core.networks import ClipShape, build_network
from mml_core.networks.lateral_fusion import Inner, LateralFusion, averages, brought, resampled

directions = pytest.mark.parametrize("direction", ["unilateral", "bilateral"])
side = st.integers(1, 9)


@given(st.tuples(side, side, side), st.tuples(side, side, side))
@settings(max_examples=60, deadline=None)
def test_means_are_those_of_adaptive_average_pooling(have: tuple[int, ...], want: tuple[int, ...]) -> None:
    volume = torch.randn(2, 3, *have)
    expected = adaptive_avg_pool3d(volume, want)
    torch.testing.assert_close(resampled(volume, torch.Size((2, 3, *want))), expected, rtol=1e-5, atol=1e-6)


def test_means_worked_out_by_hand() -> None:
    third = 1 / 3
    torch.testing.assert_close(averages(3, 1, torch.device("cpu")), torch.tensor([[third, third, third]]))
    torch.testing.assert_close(averages(3, 2, torch.device("cpu")), torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]))
    torch.testing.assert_close(averages(1, 2, torch.device("cpu")), torch.ones(2, 1))


def pictures(segments: int, frames: int, height: int, width: int) -> Inner:
    return Inner(torch.randn(segments * frames, 3, height, width), frames, heard=False)


def sound(segments: int, frequencies: int, times: int) -> Inner:
    return Inner(torch.randn(segments, 3, frequencies, times), 1, heard=True)


def test_frames_and_sound_as_the_other_takes_them() -> None:
    """Worked out element by element: 4 frames of 5 x 7 beside a spectrogram of 6 frequencies and 8 times."""
    seen, heard = pictures(2, 4, 5, 7), sound(2, 6, 8)
    to_frames, to_sound = brought(heard, seen), brought(seen, heard)
    assert to_frames.shape == (8, 3, 1, 1) and to_sound.shape == (2, 3, 1, 8)
    for segment in range(2):
        for frame in range(4):
            expected = heard.images[segment, :, :, 2 * frame : 2 * frame + 2].mean(dim=(1, 2))
            torch.testing.assert_close(to_frames[4 * segment + frame, :, 0, 0], expected)
        for time in range(8):
            expected = seen.images[4 * segment + time // 2].mean(dim=(1, 2))
            torch.testing.assert_close(to_sound[segment, :, 0, time], expected)


def test_frames_of_other_times_and_sizes() -> None:
    """Eight frames for four: of each two and of each 2 x 2 places the mean; four for eight: each twice."""
    many, few = pictures(2, 8, 6, 10), pictures(2, 4, 3, 5)
    fewer, more = brought(many, few), brought(few, many)
    assert fewer.shape == (8, 3, 3, 5) and more.shape == (16, 3, 6, 10)
    torch.testing.assert_close(fewer[5, :, 2, 1], many.images[10:12, :, 4:6, 2:4].mean(dim=(0, 2, 3)))
    torch.testing.assert_close(more[11, :, 5, 3], few.images[5, :, 2, 1])
    same = pictures(2, 8, 6, 10)
    assert torch.equal(brought(same, many), same.images)
    assert torch.equal(brought(sound(2, 6, 8), heard := sound(2, 6, 8)), brought(heard, heard)) is False
    assert torch.equal(brought(heard, heard), heard.images)


@directions
def test_at_first_it_is_the_weighted_fusion(direction: str) -> None:
    names, inputs = ["rgb", "flow", "audio"], clips(("rgb", "flow", "audio"))
    lateral = fusion("lateral_fusion", direction=direction, streams=names, stir=False)
    weighted = fusion("weighted_fusion", streams=names, seed=1)
    weighted.load_state_dict({k: v for k, v in lateral.state_dict().items() if not k.startswith("lateral.")})
    with torch.no_grad():
        assert torch.equal(lateral(*inputs).logits, weighted(*inputs).logits)
    lateral(*inputs).logits.sum().backward()
    assert all(one.grad.any() for one in lateral.lateral.parameters()), "they leave zero all the same"


def changed(network: LateralFusion, inputs: list[Tensor], index: int) -> set[str]:
    """Return the streams that say something else where input `index` is another."""
    other = [one + 1 if at == index else one for at, one in enumerate(inputs)]
    with torch.no_grad():
        before, after = network(*inputs).parts, network(*other).parts
    return {name for name in before if not torch.equal(before[name].logits, after[name].logits)}


def test_what_one_stream_sees_reaches_others_in_the_right_direction_alone() -> None:
    names, inputs = ["rgb", "flow", "audio"], clips(("rgb", "flow", "audio"))
    one_way, all_ways = (fusion("lateral_fusion", direction=way, streams=names) for way in ("unilateral", "bilateral"))
    assert [changed(one_way, inputs, index) for index in range(3)] == [{"rgb"}, {"rgb", "flow"}, {"rgb", "audio"}]
    assert [changed(all_ways, inputs, index) for index in range(3)] == [set(names)] * 3


@pytest.mark.parametrize("place", range(4))
def test_each_place_carries_something_by_itself(place: int) -> None:
    network, inputs = fusion("lateral_fusion", direction="unilateral", stir=False), clips()
    torch.nn.init.normal_(network.lateral["rgb"]["flow"][place].weight)
    assert changed(network, inputs, 1) == {"rgb", "flow"}


def test_features_are_what_both_had_before_anything_was_added() -> None:
    """Worked out stretch by stretch; at each place both get something before either goes on."""
    network, (rgb, flow) = fusion("lateral_fusion"), clips(segments=1)
    a, b = network.streams["rgb"], network.streams["flow"]
    with torch.no_grad():
        x, y, frames = rgb.flatten(0, 1), flow.flatten(0, 1), 4
        for place in range(5):
            (x, after), (y, _) = a.advance(x, frames, place), b.advance(y, frames, place)
            frames = after
            if place < 4:
                into, back = network.lateral["rgb"]["flow"][place].weight, network.lateral["flow"]["rgb"][place].weight
                x, y = (
                    x + torch.einsum("oc,nchw->nohw", into[:, :, 0, 0], y),
                    y + torch.einsum("oc,nchw->nohw", back[:, :, 0, 0], x),
                )
        assert frames == 1
        logits = [stream.fc(one.mean(dim=(2, 3))) for stream, one in ((a, x), (b, y))]
        expected = (logits[0] + logits[1]) / 2
        torch.testing.assert_close(network(rgb, flow).logits, expected, rtol=1e-4, atol=1e-5)


@given(
    st.sampled_from(["unilateral", "bilateral"]),
    st.permutations(["rgb", "flow", "audio"]),
    st.integers(1, 5),
    st.tuples(st.integers(17, 50), st.integers(17, 50)),
    st.tuples(st.integers(17, 50), st.integers(17, 50)),
    st.integers(1, 2),
)
@settings(max_examples=15, deadline=None)
def test_any_sizes_and_any_order(
    direction: str, names: list[str], frames: int, first: tuple[int, int], second: tuple[int, int], segments: int
) -> None:
    network = fusion("lateral_fusion", direction=direction, streams=names, frames=frames)
    inputs = {
        "rgb": torch.randn(2, segments * frames, 3, *first),
        "flow": torch.randn(2, segments * frames, 4, *second),
        "audio": torch.rand(2, segments, 1, 1, 7_000) * 2 - 1,
    }
    with torch.no_grad():
        said = network(*(inputs[name] for name in names))
        one = network(*(inputs[name][:1] for name in names))
    assert said.logits.shape == (2, 5) and said.logits.isfinite().all()
    torch.testing.assert_close(one.logits, said.logits[:1], rtol=1e-3, atol=1e-4)


def test_streams_of_other_backbones_and_frames_meet() -> None:
    """Maps of ResNets and MobileNetV2 have other sizes behind the stem, and other frames behind stages 2 and 3."""
    names = ["rgb", "flow"]
    block: dict[str, Any] = {"backbones": {"rgb": "resnet18", "flow": "mobilenet_v2"}, "streams": names}
    config = config_of("lateral_fusion", **block)
    with torch.device("meta"):
        network = build_network(config, ClipShape(8, CHANNELS), classes=3).eval()
    widths = [[stream.width(place) for place in range(4)] for stream in network.streams.values()]
    assert widths == [[64, 64, 128, 256], [16, 24, 32, 96]]
    x = {name: torch.empty(16, CHANNELS[name], 224, 224, device="meta") for name in names}
    frames, seen = dict.fromkeys(names, 8), []
    for place in range(4):
        for name in names:
            x[name], frames[name] = network.streams[name].advance(x[name], frames[name], place)
        seen.append([(*x[name].shape[1:3], frames[name]) for name in names])
    assert seen == [
        [(64, 56, 8), (16, 112, 8)],
        [(64, 56, 8), (24, 56, 8)],
        [(128, 28, 4), (32, 28, 8)],
        [(256, 14, 2), (96, 14, 4)],
    ]
    inputs = (torch.empty(2, 8, 3, 224, 224, device="meta"), torch.empty(2, 8, 4, 224, 224, device="meta"))
    assert network(*inputs).logits.shape == (2, 3)
