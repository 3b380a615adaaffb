"""Clip classifiers: layout of torchvision, consensus, what the shift sees, sizes of input."""

from __future__ import annotations

import pytest
import torch
import torchvision
from network_helpers import build, shift_by_loop
from torch import nn

from mml_core.networks.shift import ShiftedConv2d
from mml_core.networks.tsm import ClipClassifier

BACKBONES = ["resnet18", "resnet34", "resnet50", "resnet101"]


def with_lively_head(network: ClipClassifier) -> ClipClassifier:
    """Give the classifier weights of ordinary size, so that differences in features show in the logits."""
    nn.init.normal_(network.fc.weight)
    return network


@pytest.mark.parametrize("architecture", ["tsm", "tsn"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_parameters_are_torchvisions(backbone: str, architecture: str) -> None:
    network = build(backbone=backbone, architecture=architecture, classes=1000)
    reference = getattr(torchvision.models, backbone)().state_dict()
    assert {k: v.shape for k, v in network.state_dict().items()} == {k: v.shape for k, v in reference.items()}
    network.load_state_dict(reference)


@pytest.mark.parametrize(
    ("backbone", "blocks"),
    [("resnet_tiny", [1, 1, 1, 1]), ("resnet18", [2, 2, 2, 2]), ("resnet34", [3, 4, 6, 3]), ("resnet50", [3, 4, 6, 3])],
)
def test_every_block_shifts(backbone: str, blocks: list[int]) -> None:
    network = build(backbone=backbone)
    assert shifting_blocks(network) == [list(range(count)) for count in blocks]
    assert shifting_blocks(build(backbone=backbone, architecture="tsn")) == [[], [], [], []]


def test_every_second_block_of_resnet101_shifts() -> None:
    assert shifting_blocks(build(backbone="resnet101")) == [[0, 2], [0, 2], list(range(0, 23, 2)), [0, 2]]


def shifting_blocks(network: ClipClassifier) -> list[list[int]]:
    """Return, for each of the four stages, the blocks that shift; checks that nothing but their conv1 does."""
    layers = [network.layer1, network.layer2, network.layer3, network.layer4]
    found = [[i for i, block in enumerate(layer) if isinstance(block.conv1, ShiftedConv2d)] for layer in layers]
    assert sum(isinstance(module, ShiftedConv2d) for module in network.modules()) == sum(map(len, found))
    return found


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
@pytest.mark.parametrize("architecture", ["tsm", "tsn"])
def test_logits_are_those_of_torchvision_frame_by_frame(backbone: str, architecture: str) -> None:
    """The reference is torchvision's own network; for TSM its conv1 is preceded by the literal loop."""
    network = with_lively_head(build(backbone=backbone, architecture=architecture, frames=3)).eval()
    reference = getattr(torchvision.models, backbone)(num_classes=5).eval()
    reference.load_state_dict(network.state_dict())
    if architecture == "tsm":
        for layer in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
            for block in layer:
                block.conv1.register_forward_pre_hook(lambda _, inputs: (shift_by_loop(inputs[0], 3),))
    clips = torch.randn(2, 3, 3, 33, 47)
    with torch.no_grad():
        logits = reference(clips.flatten(0, 1)).unflatten(0, (2, 3)).mean(dim=1)
        prediction = network(clips)
        features = nn.functional.linear(prediction.features, network.fc.weight, network.fc.bias)
    assert prediction.features.shape == (2, network.fc.in_features)
    torch.testing.assert_close(prediction.logits, logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features, logits, rtol=1e-4, atol=1e-4)


def test_order_of_frames_matters_to_tsm_alone() -> None:
    clips = torch.randn(2, 6, 3, 40, 40)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        for architecture, matters in (("tsn", False), ("tsm", True)):
            network = with_lively_head(build(frames=6, architecture=architecture)).eval()
            same = torch.allclose(network(clips).logits, network(clips[:, order]).logits, rtol=1e-3, atol=1e-4)
            assert same is not matters


def test_clips_do_not_see_each_other() -> None:
    network = with_lively_head(build()).eval()
    clips = torch.randn(3, 4, 3, 32, 32)
    with torch.no_grad():
        together = network(clips).logits
        alone = torch.cat([network(clip[None]).logits for clip in clips])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 8, 16])
@pytest.mark.parametrize("size", [(56, 56), (57, 83), (32, 200)])
def test_any_number_of_frames_and_any_size(frames: int, size: tuple[int, int]) -> None:
    """One set of weights serves clips of every length, and the pooling images of every size."""
    state = build().state_dict()
    network = build(frames=frames).eval()
    network.load_state_dict(state)
    with torch.no_grad():
        prediction = network(torch.randn(1, frames, 3, *size))
    assert prediction.logits.shape == (1, 5)
    assert prediction.features.shape == (1, 256)
    assert prediction.logits.isfinite().all()


def test_a_clip_of_one_frame_gets_zeros_from_both_sides() -> None:
    network = with_lively_head(build(frames=1)).eval()
    reference = build(frames=1, architecture="tsn").eval()
    reference.load_state_dict(network.state_dict())
    for layer in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
        weight = layer[0].conv1.weight.data
        weight[:, : 2 * (weight.shape[1] // 8)] = 0
    clips = torch.randn(2, 1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(clips).logits, reference(clips).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 10, 15])
@pytest.mark.parametrize("backbone", ["resnet_tiny", "resnet18"])
def test_first_convolution_for_any_number_of_channels(backbone: str, channels: int) -> None:
    network = build(channels=channels, backbone=backbone)
    width = network.conv1.out_channels
    assert network.conv1.weight.shape == (width, channels, 7, 7)
    # He's initialisation by the fan out: 49 * width
    assert network.conv1.weight.std().item() == pytest.approx((2 / (49 * width)) ** 0.5, rel=0.1)
    assert network(torch.randn(1, 4, channels, 32, 32)).logits.shape == (1, 5)


@pytest.mark.parametrize("shape", [(1, 3, 3, 32, 32), (1, 4, 10, 32, 32), (4, 3, 32, 32)])
def test_clips_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, S \* 4, 3, H, W\), got"):
        build()(torch.randn(shape))


def test_head_is_drawn_as_in_tsm() -> None:
    network = build(classes=400, backbone="resnet18")
    assert network.fc.weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert network.fc.weight.mean().abs() < 1e-5
    assert not network.fc.bias.any()


def test_seed_gives_the_weights_with_and_without_shift() -> None:
    with_shift, without = build().state_dict(), build(architecture="tsn").state_dict()
    assert all(torch.equal(with_shift[name], without[name]) for name in without)


def test_dropout_falls_on_each_frame_and_not_on_the_features_returned() -> None:
    """With frames dropped independently, the variance of the mean falls with their number."""
    network = with_lively_head(build(frames=8, dropout=0.5, architecture="tsn"))
    network.eval()
    network.dropout.train()
    clip = torch.randn(1, 1, 3, 32, 32).expand(-1, 8, -1, -1, -1)
    with torch.no_grad():
        predictions = [network(clip) for _ in range(200)]
    assert all(torch.equal(p.features, predictions[0].features) for p in predictions)
    features, weight = predictions[0].features[0], network.fc.weight
    # variance of a Bernoulli(1/2) mask scaled by two is 1 for each feature of each frame
    expected = (features**2 * weight**2).sum(dim=1) / 8
    measured = torch.stack([p.logits[0] for p in predictions]).var(dim=0)
    torch.testing.assert_close(measured, expected, rtol=0.35, atol=0)


def test_every_parameter_gets_a_gradient_and_training_lowers_the_loss() -> None:
    network = build(channels=10, dropout=0.0)
    clips, labels = torch.randn(4, 4, 10, 32, 32), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    losses = []
    for _ in range(8):
        loss = nn.functional.cross_entropy(network(clips).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("architecture", ["tsm", "tsn", "i3d"])
def test_segments_are_by_themselves_and_their_mean_counts(architecture: str) -> None:
    network = with_lively_head(build(architecture=architecture)).eval()
    clips = torch.randn(2, 12, 3, 32, 32)
    with torch.no_grad():
        together = network(clips)
        alone = [network(segment) for segment in clips.split(4, dim=1)]
    for whole, parts in (
        (together.logits, [one.logits for one in alone]),
        (together.features, [one.features for one in alone]),
    ):
        torch.testing.assert_close(whole, torch.stack(parts).mean(dim=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("architecture", "shape"), [("tsm", (2, 8, 128, 4, 4)), ("i3d", (2, 2, 128, 2, 4, 4))])
def test_maps_are_kept_where_somebody_asks_for_them(architecture: str, shape: tuple[int, ...]) -> None:
    network, clips = build(architecture=architecture).eval(), torch.randn(2, 8, 3, 64, 64)
    assert network(clips).maps == {}
    network.kept = ("layer3",)
    maps = network(clips).maps
    assert {name: tuple(value.shape) for name, value in maps.items()} == {"layer3": shape}


@pytest.mark.parametrize("architecture", ["tsm", "i3d"])
def test_detached_classifier_learns_by_itself(architecture: str) -> None:
    network = with_lively_head(build(architecture=architecture))
    network.detached = True
    network(torch.randn(2, 4, 3, 32, 32)).logits.square().sum().backward()
    assert {name for name, one in network.named_parameters() if one.grad is not None} == {"fc.weight", "fc.bias"}
