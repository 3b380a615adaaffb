"""MobileNetV2 whose batch normalisation was folded into its convolutions: it says the same, and can learn again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mml_core.networks.folded import is_folded
from mml_core.networks.mobilenet_layout import from_torchvision_mobilenet
from mml_core.networks.weights import read_weight_file

PICTURES = torch.randn((4, 3, 96, 96), generator=torch.Generator().manual_seed(1))


def folded(network: nn.Module) -> dict[str, Tensor]:
    """Return the state of `network`, each normalisation folded into the convolution before it by torch's own rule."""
    state, before = network.state_dict(), ("", network)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            statistics = (module.running_mean, module.running_var, module.eps, module.weight, module.bias)
            weight, bias = fuse_conv_bn_weights(before[1].weight, None, *statistics)
            one = torch.ones_like(bias)
            state |= {f"{before[0]}.weight": weight, f"{name}.weight": one, f"{name}.bias": bias}
            state |= {f"{name}.running_mean": 0 * one, f"{name}.running_var": one * (1 - module.eps)}
        before = name, module
    return {name: value.detach() for name, value in state.items()}


@pytest.fixture(scope="module")
def original() -> nn.Module:
    """A network as after training: statistics are those of its inputs; features are rare, and large where they are."""
    torch.manual_seed(3)
    network = torchvision.models.mobilenet_v2(num_classes=5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.5)
    last = network.features[18][1]
    nn.init.constant_(last.weight, 9.0)
    nn.init.constant_(last.bias, -11.0)
    with torch.no_grad():
        network.train()(PICTURES)
    return network.eval()


@pytest.fixture(scope="module")
def file(original: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folded") / "mobilenet.pth"
    torch.save(folded(original), path)
    return path


def loaded(state: dict[str, Tensor]) -> nn.Module:
    network = torchvision.models.mobilenet_v2(num_classes=5)
    network.load_state_dict({name.replace("fc.", "classifier.1."): value for name, value in state.items()})
    return network


def test_folded_weights_are_told_from_trained_and_from_random_ones(original: nn.Module, file: Path) -> None:
    assert is_folded(torch.load(file, weights_only=True))
    assert not is_folded(original.state_dict())
    assert not is_folded(torchvision.models.mobilenet_v2().state_dict())
    assert not is_folded({"fc.weight": torch.ones(2, 3)})


def test_in_evaluation_it_says_what_it_said_to_any_input(original: nn.Module, file: Path) -> None:
    network = loaded(read_weight_file(file)).eval()
    with torch.no_grad():
        for scale in (1.0, 7.0):
            assert torch.allclose(network(scale * PICTURES), original(scale * PICTURES), rtol=1e-3, atol=1e-4)


def test_in_training_features_are_alive_again(original: nn.Module, file: Path) -> None:
    """As it is in the file hardly a feature gets through the last ReLU in training."""
    dead, alive = loaded(folded(original)).train(), loaded(read_weight_file(file)).train()
    assert not is_folded(alive.state_dict())
    with torch.no_grad():
        shares = [(network.features(PICTURES) > 0).float().mean() for network in (dead, alive)]
    assert shares[0] < 0.005 and shares[1] > 0.02


def test_reading_draws_nothing_and_reads_the_same_twice(file: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = read_weight_file(file), read_weight_file(file)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first | second)


def test_what_is_not_folded_or_does_not_fit_stays(original: nn.Module) -> None:
    states = original.state_dict(), folded(original) | {"features.0.0.weight": torch.ones(16, 3, 3, 3)}
    for state in states:
        read = from_torchvision_mobilenet(state)
        assert all(torch.equal(read[name], value) for name, value in state.items() if name.startswith("features."))
