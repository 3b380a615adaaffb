"""I3D: where time is seen, against a literal network of 2-D convolutions; inflation; cost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from network_helpers import build
from torch import Tensor, nn

from mml_core.networks import gflops_per_clip, hand_over, parameters_millions
from mml_core.networks.backbones import build_backbone
from mml_core.networks.inflated import InflatedClassifier, inflate


def i3d(*, lively: bool = False, seed: int = 0, **settings: int | float | str) -> InflatedClassifier:
    """Return an I3D; a lively one has a classifier of ordinary size, and kernels that differ from frame to frame."""
    network = build(architecture="i3d", seed=seed, **settings)
    if lively:
        for name, value in network.state_dict().items():
            if value.ndim == 5:
                nn.init.normal_(value, std=(2 / value[0].numel()) ** 0.5)
            elif name.endswith("running_var"):
                nn.init.uniform_(value, 0.5, 1.5)
            elif value.is_floating_point():
                nn.init.normal_(value, mean=float(value.ndim == 1 and name.endswith("weight")), std=0.2)
    return network


def layer_shapes(network: InflatedClassifier, clips: Tensor) -> dict[str, tuple[int, ...]]:
    """Return (T, H, W) of the output of each stage."""
    shapes = {}
    for name in ("maxpool", "layer1", "layer2", "layer3", "layer4"):
        network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: shapes.update({name: tuple(output.shape[2:])})
        )
    with torch.no_grad():
        network(clips)
    return shapes


def test_where_time_is_seen_in_resnet50() -> None:
    """As SlowFast and PyTorchVideo have it: 5 frames in the stem, 3 in the first convolution of these blocks."""
    temporal = {
        name.removesuffix(".weight"): tuple(value.shape[2:])
        for name, value in i3d(backbone="resnet50").state_dict().items()
        if value.ndim == 5 and value.shape[2] > 1
    }
    blocks = ["1.0", "1.1", "1.2", "2.0", "2.2", "3.0", "3.2", "3.4", "4.1"]
    assert temporal == {"conv1": (5, 7, 7)} | {f"layer{block}.conv1": (3, 1, 1) for block in blocks}


@pytest.mark.parametrize(
    ("backbone", "blocks"),
    [
        ("resnet_tiny", ["1.0", "2.0", "3.0"]),
        ("resnet18", ["1.0", "1.1", "2.0", "3.0", "4.1"]),
        ("resnet34", ["1.0", "1.1", "1.2", "2.0", "2.2", "3.0", "3.2", "3.4", "4.1"]),
        ("resnet101", ["1.0", "1.1", "1.2", "2.0", "2.2", *[f"3.{block}" for block in range(0, 23, 2)], "4.1"]),
    ],
)
def test_where_time_is_seen_in_others(backbone: str, blocks: list[str]) -> None:
    side = 1 if backbone == "resnet101" else 3
    for name, module in i3d(backbone=backbone).named_modules():
        if isinstance(module, nn.Conv3d) and name != "conv1":
            length = 3 if name.removeprefix("layer") in {f"{block}.conv1" for block in blocks} else 1
            assert module.kernel_size[0] == length
            assert module.padding[0] == length // 2
            assert module.stride[0] == 1
            if length == 3:
                assert module.kernel_size[1:] == (side, side)


def over_frames(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """Return the 3-D convolution of a clip (T, C, H, W) as a sum of 2-D ones over the frames in reach."""
    length, side = weight.shape[2], weight.shape[3]
    outputs = []
    for time in range(len(x)):
        seen = [(tap, time + tap - length // 2) for tap in range(length)]
        outputs.append(
            sum(
                F.conv2d(x[None, frame], weight[:, :, tap], stride=stride, padding=side // 2)
                for tap, frame in seen
                if 0 <= frame < len(x)
            )
        )
    return torch.cat(outputs)


def literal_tiny(state: Mapping[str, Tensor], clip: Tensor) -> Tensor:
    """Return the features (F,) of `clip` (T, C, H, W) by an inflated resnet_tiny, frame by frame."""

    def normalised(x: Tensor, name: str) -> Tensor:
        values = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *values)

    x = F.relu(normalised(over_frames(clip, state["conv1.weight"], stride=2), "bn1"))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for number, stride in ((1, 1), (2, 2), (3, 2), (4, 2)):
        block = f"layer{number}.0"
        y = F.relu(normalised(over_frames(x, state[f"{block}.conv1.weight"], stride), f"{block}.bn1"))
        y = normalised(over_frames(y, state[f"{block}.conv2.weight"]), f"{block}.bn2")
        if number > 1:
            shortcut = over_frames(x, state[f"{block}.downsample.0.weight"], stride)
            x = normalised(shortcut, f"{block}.downsample.1")
        x = F.relu(x + y)
        if number == 1:
            x = torch.stack([x[time : time + 2].amax(dim=0) for time in range(0, len(x), 2)])
    return x.mean(dim=(0, 2, 3))


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("channels", [3, 10])
def test_network_is_the_literal_one(frames: int, channels: int) -> None:
    network = i3d(lively=True, frames=frames, channels=channels).double().eval()
    clips = torch.randn(2, frames, channels, 45, 62, dtype=torch.float64)
    with torch.no_grad():
        prediction = network(clips)
        features = torch.stack([literal_tiny(network.state_dict(), clip) for clip in clips])
    torch.testing.assert_close(prediction.features, features)
    torch.testing.assert_close(prediction.logits, F.linear(features, network.fc.weight, network.fc.bias))


@pytest.mark.parametrize(("frames", "pooled"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
@pytest.mark.parametrize("backbone", ["resnet_tiny", "resnet18", "resnet50"])
def test_sizes_in_between(backbone: str, frames: int, pooled: int) -> None:
    network = i3d(backbone=backbone, frames=frames).eval()
    shapes = layer_shapes(network, torch.randn(1, frames, 3, 57, 83))
    assert shapes == {
        "maxpool": (frames, 15, 21),
        "layer1": (frames, 15, 21),
        "layer2": (pooled, 8, 11),
        "layer3": (pooled, 4, 6),
        "layer4": (pooled, 2, 3),
    }


def test_inflated_weights_worked_out_by_hand() -> None:
    weight = torch.tensor([[3.0, -6.0], [0.0, 9.0]]).reshape(2, 2, 1, 1)
    assert inflate(weight, 3).shape == (2, 2, 3, 1, 1)
    assert inflate(weight, 3).flatten(2).tolist() == [[[1.0] * 3, [-2.0] * 3], [[0.0] * 3, [3.0] * 3]]
    assert torch.equal(inflate(weight, 1).squeeze(2), weight)


@pytest.mark.parametrize(("backbone", "frames"), [("resnet_tiny", 18), ("resnet18", 22), ("resnet50", 38)])
def test_clip_of_one_image_answers_like_the_image(backbone: str, frames: int) -> None:
    """At the middle of the clip, beyond the reach of the zeros outside of it: up to 4, 5 and 9 pooled frames."""
    image_network = build(backbone=backbone, architecture="tsn", frames=1, seed=1).eval()
    network = i3d(backbone=backbone, frames=frames, seed=2).eval()
    hand_over(network, image_network.state_dict(), reset_head=False, source="a")
    outputs = {}
    for name, module in (("image", image_network.layer4), ("clip", network.layer4)):
        module.register_forward_hook(lambda _module, _inputs, output, name=name: outputs.update({name: output}))
    image = torch.randn(2, 1, 3, 40, 56)
    with torch.no_grad():
        image_network(image)
        network(image.expand(-1, frames, -1, -1, -1))
    assert outputs["clip"].shape[2] == frames // 2
    torch.testing.assert_close(outputs["clip"][:, :, frames // 4], outputs["image"], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(outputs["clip"][:, :, 0], outputs["image"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [3, 10])
def test_seed_gives_the_inflated_image_network(channels: int) -> None:
    flat, network = build(architecture="tsn", channels=channels, seed=4), i3d(channels=channels, seed=4)
    state = flat.state_dict()
    assert list(network.state_dict()) == list(state)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value.sum(dim=2) if value.ndim == 5 else value, state[name])


def test_backbone_brings_its_normalisation() -> None:
    backbone = build_backbone("resnet_tiny")
    variance = nn.init.uniform_(backbone.bn1.running_var).clone()
    gain = nn.init.uniform_(backbone.layer2[0].bn2.weight).detach().clone()
    network = InflatedClassifier(backbone, frames=4, channels=3, classes=5, dropout=0.5)
    assert torch.equal(network.bn1.running_var, variance)
    assert torch.equal(network.layer2[0].bn2.weight, gain)


def test_memory_format_changes_nothing() -> None:
    network, clips = i3d(lively=True, frames=6).eval(), torch.randn(2, 6, 3, 33, 47)
    with torch.no_grad():
        plain = network(clips)
        network.to(memory_format=network.memory_format)
        assert network.conv1.weight.is_contiguous(memory_format=torch.channels_last_3d)
        last = network(clips)
        strided = network(clips.permute(0, 1, 4, 3, 2).contiguous().permute(0, 1, 4, 3, 2))
    torch.testing.assert_close(plain.logits, last.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last.logits, strided.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3, 3, 32, 32), (1, 4, 10, 32, 32), (4, 3, 32, 32)])
def test_clips_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, S \* 4, 3, H, W\), got"):
        i3d()(torch.randn(shape))


def test_dropout_spares_the_features_returned() -> None:
    network, clips = i3d(lively=True, dropout=0.5).eval(), torch.randn(2, 4, 3, 32, 32)
    with torch.no_grad():
        whole = network(clips)
        network.dropout.train()
        dropped = network(clips)
    assert torch.equal(whole.features, dropped.features)
    assert not torch.allclose(whole.logits, dropped.logits)


def test_every_parameter_gets_a_gradient_and_training_lowers_the_loss() -> None:
    network = i3d(channels=10, dropout=0.0)
    network.to(memory_format=network.memory_format)
    clips, labels = torch.randn(4, 4, 10, 32, 32), torch.tensor([0, 1, 2, 3])
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


def test_cost_is_that_of_pytorchvideo() -> None:
    """Its model zoo states 28.04 million parameters, and 37.53 GFLOPs for 8 x 256 x 256, which count normalisation."""
    network = i3d(backbone="resnet50", frames=8, classes=400)
    assert parameters_millions(network) == pytest.approx(28.043472, abs=1e-9)
    assert gflops_per_clip(network, (8, 3, 256, 256)) == pytest.approx(37.53, rel=0.015)
    # convolutions and classifier of `i3d_r50`, counted by fvcore
    assert gflops_per_clip(network, (8, 3, 224, 224)) == pytest.approx(28.407661, rel=1e-6)
