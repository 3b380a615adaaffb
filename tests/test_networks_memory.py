"""Bytes that autograd saves: estimated on the meta device against counted on real tensors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from network_helpers import build, build_3d, network_config
from torch import Tensor, nn

from mml_core.networks import ClipShape, build_network
from mml_core.networks.memory import saved_bytes
from mml_core.networks.shift import temporal_shift

NETWORKS = {
    "tsm": (lambda: build(frames=8), (8, 3, 57, 64)),
    "tsn of two segments": (lambda: build(frames=4, architecture="tsn"), (8, 3, 56, 56)),
    "i3d": (lambda: build(frames=7, architecture="i3d", channels=10), (7, 10, 56, 56)),
    "resnet50": (lambda: build(backbone="resnet50", frames=2), (2, 3, 64, 64)),
    "resnext3d": (lambda: build_3d("resnext3d", depth="tiny", channels=2), (16, 2, 56, 50)),
    "p3d": (lambda: build_3d("p3d", depth="tiny"), (16, 3, 64, 58)),
    "s3d": (lambda: build_3d("s3d"), (16, 3, 64, 64)),
    "s3dg": (lambda: build_3d("s3dg"), (16, 3, 64, 64)),
}


def counted(network: nn.Module, inputs: Sequence[Tensor]) -> int:
    """Return the bytes of the memory, by its address, of what autograd saves in a real forward pass."""
    own = {one.untyped_storage().data_ptr() for one in [*network.parameters(), *network.buffers()]}
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        prediction = network(*inputs)
    assert prediction is not None
    sizes = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in kept}
    return sum(size for address, size in sizes.items() if address not in own)


@pytest.mark.parametrize("clips", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_estimate_is_what_is_counted(name: str, clips: int) -> None:
    make, shape = NETWORKS[name]
    network = make()
    assert saved_bytes(network, [shape], mixed=False, clips=clips) == pytest.approx(
        counted(network, [torch.randn(clips, *shape)]), rel=0.1
    )


@pytest.mark.parametrize(
    "frozen", [("conv1", "bn1", "layer1", "layer2", "layer3"), ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")]
)
def test_frozen_parts_save_less(frozen: tuple[str, ...]) -> None:
    network, shape = build_3d("resnext3d", depth="tiny"), (16, 3, 56, 56)
    whole = saved_bytes(network, [shape], mixed=False)
    for name in frozen:
        network.get_submodule(name).eval().requires_grad_(False)
    found = saved_bytes(network, [shape], mixed=False)
    assert found == pytest.approx(counted(network, [torch.randn(1, *shape)]), rel=0.1)
    assert found < whole / 10


def test_a_teacher_saves_nothing() -> None:
    assert saved_bytes(build().eval().requires_grad_(False), [(4, 3, 32, 32)], mixed=True) == 0


class Worked(nn.Module):
    """Shift, convolution, normalisation, activation and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4)

    def forward(self, clips: Tensor) -> Tensor:
        x = torch.relu_(self.bn(self.conv(temporal_shift(clips.flatten(0, 1), 2))))
        return torch.max_pool2d(x, 2)


def test_worked_out_by_hand() -> None:
    """Two frames of 8 x 6 x 6; the shifted input, what comes out of the convolution, the activations in place of the
    normalised ones, statistics of four channels, and indices of 2 x 4 x 3 x 3 maxima in 64 bits."""
    elements = 2 * 8 * 36 + 2 * 4 * 36 + 2 * 4 * 36
    rest = 2 * 4 * 4 + 8 * 2 * 4 * 9
    assert saved_bytes(Worked(), [(2, 8, 6, 6)], mixed=False) == 4 * elements + rest
    weights = 2 * 8 * 4  # autocast's copy of the convolution's
    assert saved_bytes(Worked(), [(2, 8, 6, 6)], mixed=True) == 2 * elements + rest + weights


class Looking(nn.Module):
    """A layer of attention's parts."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.linear(self.norm(x)), dim=-1) @ x.transpose(-2, -1)


def test_attention_in_mixed_precision_worked_out_by_hand() -> None:
    """Of 6 places of 8 channels: what is normalised, in float32, with mean and deviation of each; normalised values in
    float16, and the weights of the map as a copy; the softmax in float32, which a product takes in float16.
    """
    places, channels = 6, 8
    numbers = places * channels
    expected = 4 * (numbers + 2 * places) + 2 * numbers + 2 * channels * channels + 4 * numbers
    expected += 2 * numbers  # the product keeps the clip, for the gradient of the softmax alone
    assert saved_bytes(Looking(), [(1, 1, places, channels)], mixed=True) == expected


def test_mixed_precision_saves_half_of_what_grows_with_the_clips() -> None:
    network, shape = build_3d("s3d"), (16, 3, 64, 64)
    full, half = (
        saved_bytes(network, [shape], mixed=mixed, clips=3) - saved_bytes(network, [shape], mixed=mixed, clips=2)
        for mixed in (False, True)
    )
    indices = 8 * sum((64 * 16 * 16 * 8, 192 * 8 * 8 * 8, 480 * 4 * 4 * 4, 832 * 2 * 2 * 2))
    for channels, blocks, size in ((192, 1, 8 * 8 * 8), (256, 1, 8 * 8 * 8), (480, 1, 64), (512, 3, 64), (528, 1, 64)):
        indices += 8 * channels * blocks * size
    indices += 8 * 832 * 2 * 8  # the pools within the two last blocks
    assert half - indices == pytest.approx((full - indices) / 2, rel=1e-3)


def test_two_inputs() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rgb, self.flow = build(), build(channels=10, frames=2)

        def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
            return self.rgb(rgb).logits + self.flow(flow).logits

    network, shapes = Both(), [(4, 3, 40, 40), (2, 10, 32, 32)]
    alone = saved_bytes(network.rgb, shapes[:1], mixed=False) + saved_bytes(network.flow, shapes[1:], mixed=False)
    assert saved_bytes(network, shapes, mixed=False) == alone


def test_network_is_left_alone() -> None:
    network = build()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    saved_bytes(network, [(4, 3, 32, 32)], mixed=True)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_resnet101_of_sixteen_frames_takes_no_memory() -> None:
    """1.19 GB a clip in mixed precision, and once 85 MB of copies of 42.7 million weights."""
    with torch.device("meta"):
        network = build_network(network_config(backbone="resnet101"), ClipShape(16, {"rgb": 3}), classes=174)
    one, eight = (saved_bytes(network, [(16, 3, 224, 224)], mixed=True, clips=clips) for clips in (1, 8))
    assert (eight - one) / 7 == pytest.approx(1.19e9, rel=0.01)
    assert one - (eight - one) / 7 == pytest.approx(2 * 42.7e6, rel=0.02)
    assert {one.device.type for one in network.parameters()} == {"meta"}
