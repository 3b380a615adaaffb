"""TSN with temporal max-poolings and MobileNetV2: against torchvision's, against published costs, over sound."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from network_helpers import build, build_3d
from torch import Tensor, nn

from mml_core.figures.activation import class_activation, grad_cam
from mml_core.networks import HandOver, convert_input_channels, gflops_per_clip, hand_over
from mml_core.networks.pooled import temporal_max_pool
from mml_core.networks.spectrogram import log_spectrogram
from mml_core.networks.weights import read_weight_file


def pooled(architecture: str = "tsn_pool", **settings: Any) -> Any:
    block = {"backbone": "resnet_tiny"} if architecture == "tsn_pool" else {}
    return build_3d(architecture, **{"frames": 8, **block, **settings})


def lively(network: Any) -> Any:
    """Return it for testing, with a classifier and statistics of ordinary size."""
    nn.init.normal_(network.fc.weight)
    for one in network.modules():
        if isinstance(one, nn.BatchNorm2d):
            nn.init.uniform_(one.running_var, 0.5, 2.0)
            nn.init.normal_(one.running_mean, std=0.1)
    return network.eval()


def pool_by_torch(x: Tensor, frames: int) -> Tensor:
    x = x.unflatten(0, (-1, frames)).transpose(1, 2)
    return F.max_pool3d(x, (3, 1, 1), (2, 1, 1), (1, 0, 0)).transpose(1, 2).flatten(0, 1)


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 17), clips=st.integers(1, 3), seed=st.integers(0, 99))
def test_pooling_is_torchs_and_so_is_its_gradient(frames: int, clips: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clips * frames, 2, 3, 2, generator=generator, requires_grad=True)
    ours, theirs = temporal_max_pool(x, frames), pool_by_torch(x, frames)
    assert torch.equal(ours, theirs)
    weights = torch.randn(ours.shape, generator=generator)
    (own,), (other,) = (torch.autograd.grad((one * weights).sum(), x) for one in (ours, theirs))
    torch.testing.assert_close(own, other)


@pytest.mark.parametrize("frames", [8, 5, 1])
def test_tsn_is_torchvisions_network_with_frames_pooled_before_three_stages(frames: int) -> None:
    network, reference = lively(pooled(backbone="resnet18", frames=frames)), torchvision.models.resnet18(num_classes=5)
    reference.load_state_dict(network.state_dict())
    clips = torch.randn(2, 3 * frames, 3, 40, 33)
    x, left = clips.flatten(0, 1), frames
    reference.eval()
    with torch.no_grad():
        x = reference.layer1(reference.maxpool(reference.bn1(reference.conv1(x)).relu()))
        for layer in (reference.layer2, reference.layer3, reference.layer4):
            x = layer(pool_by_torch(x, left))
            left = (left + 1) // 2
        features = x.mean(dim=(2, 3)).unflatten(0, (2, 3 * left)).mean(dim=1)
        said = network(clips)
        torch.testing.assert_close(said.features, features, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(said.logits, reference.fc(features), rtol=1e-4, atol=1e-4)


def test_of_one_frame_it_is_a_tsn() -> None:
    network, tsn = lively(pooled(frames=1)), build(architecture="tsn", frames=1)
    tsn.load_state_dict(network.state_dict())
    clips = torch.randn(2, 4, 3, 40, 33)
    with torch.no_grad():
        torch.testing.assert_close(network(clips).logits, tsn.eval()(clips).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [4, 1])
def test_mobilenet_is_torchvisions_with_frames_pooled_before_two_stages(frames: int) -> None:
    network, reference = lively(pooled("mobilenet_v2", frames=frames)), torchvision.models.mobilenet_v2().eval()
    state = network.state_dict()
    own = {name: value for name, value in state.items() if name.startswith("features.")}
    assert {f"features.{name}": value.shape for name, value in reference.features.state_dict().items()} == {
        name: value.shape for name, value in own.items()
    }
    assert set(state) - set(own) == {"fc.weight", "fc.bias"}
    reference.load_state_dict(own, strict=False)
    clips = torch.randn(1, 2 * frames, 3, 64, 40)
    x, left = clips.flatten(0, 1), frames
    with torch.no_grad():
        for number, block in enumerate(reference.features):
            if number in (7, 14):
                assert block.conv[-2].out_channels == {7: 64, 14: 160}[number]
                x, left = pool_by_torch(x, left), (left + 1) // 2
            x = block(x)
        features = x.mean(dim=(2, 3)).unflatten(0, (1, 2 * left)).mean(dim=1)
        torch.testing.assert_close(network(clips).features, features, rtol=1e-3, atol=1e-4)


def test_segments_are_by_themselves_and_their_mean_counts() -> None:
    network, clips = lively(pooled()), torch.randn(2, 24, 3, 40, 33)
    with torch.no_grad():
        each = torch.stack([network(one).logits for one in clips.split(8, dim=1)])
        torch.testing.assert_close(network(clips).logits, each.mean(dim=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["tsn_pool", "mobilenet_v2"])
def test_sound_is_seen_as_its_spectrogram(architecture: str) -> None:
    """Windows (B, S, 1, 1, W) of 1.28 s, which tell their rate."""
    network = lively(pooled(architecture, channels=1))
    sound = torch.rand(1, 2, 1, 1, 30_720) * 2 - 1
    pictures = network.pictures(sound)
    assert pictures.shape == (1, 2, 1, 1, 256, 256)
    assert torch.equal(pictures[0, :, 0, 0], log_spectrogram(sound[0, :, 0, 0], 24_000))
    with torch.no_grad():
        whole = network(sound)
        each = [network(sound[:, [segment]]).logits for segment in (0, 1)]
    torch.testing.assert_close(whole.logits, sum(each) / 2, rtol=1e-4, atol=1e-4)
    assert whole.features.shape == (1, network.fc.in_features)


@pytest.mark.parametrize("shape", [(2, 12, 3, 32, 32), (2, 8, 10, 32, 32), (2, 3, 32, 32)])
def test_clips_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, S \* 8, 3, H, W\)"):
        pooled()(torch.zeros(shape))


#: GFLOPs of ten segments of 8 frames (AdaMML's supplement, Table 2), and channels of an input frame.
PUBLISHED = [(141.36, 3), (163.39, 10), (179.12, 15)]


@pytest.mark.parametrize(("published", "channels"), PUBLISHED, ids=["rgb", "flow", "diff"])
def test_a_stream_costs_what_the_paper_says(published: float, channels: int) -> None:
    """To the last printed digit, without the classifier, which the authors do not count: 0.00006 of it here."""
    with torch.device("meta"):
        network = pooled(backbone="resnet50", channels=channels, classes=31)
    gflops = gflops_per_clip(network, (80, channels, 224, 224))
    assert gflops - 2048 * 31 / 1e9 == pytest.approx(published, abs=0.005)
    assert gflops == pytest.approx(published, rel=0.02)


def test_sound_and_what_the_policy_sees_cost_what_the_authors_program_says() -> None:
    """Their constants a segment: 381,739,008 for sound, and 375,446,400 for four frames of 160 x 160 in the policy."""
    with torch.device("meta"):
        sound, frames = pooled("mobilenet_v2", channels=1, classes=31), pooled("mobilenet_v2", frames=4, classes=31)
    classifier = 1280 * 31
    assert gflops_per_clip(sound, (1, 1, 1, 30_720)) * 1e9 - classifier == pytest.approx(381_739_008, abs=1)
    assert gflops_per_clip(frames, (4, 3, 160, 160)) * 1e9 - classifier == pytest.approx(375_446_400, abs=1)


def test_weights_come_from_images_and_from_other_modalities(tmp_path: Any) -> None:
    """torchvision's file of MobileNetV2, with its name of the classifier; first convolutions for other channels."""
    file = tmp_path / "mobilenet.pth"
    torch.manual_seed(0)
    torch.save(torchvision.models.mobilenet_v2(num_classes=5).state_dict(), file)
    state = read_weight_file(file)
    network = pooled("mobilenet_v2", channels=15, seed=1)
    assert hand_over(network, state, reset_head=False, source="a") == HandOver(new_head=False, converted_input=True)
    stem = convert_input_channels(state["features.0.0.weight"], 15)
    torch.testing.assert_close(network.features[0][0].weight, stem)
    assert torch.equal(network.fc.weight, state["fc.weight"])
    stream, tsn = pooled(channels=10), build(architecture="tsn", seed=3)
    assert hand_over(stream, tsn.state_dict(), reset_head=False, source="a") == HandOver(False, converted_input=True)
    assert torch.equal(stream.layer4[0].conv1.weight, tsn.layer4[0].conv1.weight)


@pytest.mark.parametrize("architecture", ["tsn_pool", "mobilenet_v2"])
def test_maps_of_the_last_block_say_where_a_class_is(architecture: str) -> None:
    network, clips = lively(pooled(architecture)), torch.randn(2, 16, 3, 64, 40)
    maps = class_activation(network, [clips], label=2)
    assert maps.shape[:2] == (2, 4 if architecture == "mobilenet_v2" else 2)
    with torch.no_grad():
        logits = network(clips).logits[:, 2] - network.fc.bias[2]
    torch.testing.assert_close(maps.mean(dim=(1, 2, 3)), logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("architecture", ["tsn_pool", "mobilenet_v2"])
def test_grad_cam_says_the_same_but_for_a_factor(architecture: str) -> None:
    """Behind the last maps are means and a linear classifier: gradients are its weights over the number of values."""
    network, clips = lively(pooled(architecture)), torch.randn(2, 16, 3, 40, 40)
    maps, expected = grad_cam(network, [clips], label=2), class_activation(network, [clips], label=2)
    times, rows, columns = maps.shape[1:]
    torch.testing.assert_close(maps * (times * rows * columns), expected, rtol=1e-3, atol=1e-3)
