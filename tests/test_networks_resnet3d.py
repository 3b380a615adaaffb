"""3-D ResNets: names and shapes of the public code of 3D-ResNets-PyTorch (`models/resnet.py`), and its forward pass."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from network_helpers import build_3d
from torch import Tensor

from mml_core.config.networks.resnet3d import ResNet3dNetwork
from mml_core.errors import InputError
from mml_core.networks import HandOver, gflops_per_clip, hand_over
from mml_core.networks.weights import read_weight_file

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def recorded(depth: int, *, channels: int = 3, classes: int = 700) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the authors' network: `get_inplanes`, `BasicBlock`, `Bottleneck`, shortcut B."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, channels, 7, 7, 7)}

    def add_normalisation(name: str, width: int) -> None:
        shapes.update({f"{name}.{key}": (width,) for key in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    add_normalisation("bn1", 64)
    width, expansion = 64, 4 if depth >= 50 else 1
    for stage, (planes, blocks) in enumerate(zip((64, 128, 256, 512), STAGES[depth], strict=True), start=1):
        for number in range(blocks):
            block, out = f"layer{stage}.{number}", planes * expansion
            kernels = [(planes, width, 1), (planes, planes, 3), (out, planes, 1)]
            for one, (to, of, size) in enumerate(kernels if depth >= 50 else [(planes, width, 3), (planes, planes, 3)]):
                shapes[f"{block}.conv{one + 1}.weight"] = (to, of, size, size, size)
                add_normalisation(f"{block}.bn{one + 1}", to)
            if number == 0 and (stage > 1 or width != out):
                shapes[f"{block}.downsample.0.weight"] = (out, width, 1, 1, 1)
                add_normalisation(f"{block}.downsample.1", out)
            width = out
    return shapes | {"fc.weight": (classes, width), "fc.bias": (classes,)}


@pytest.mark.parametrize("depth", STAGES)
def test_names_and_shapes_are_the_authors(depth: int) -> None:
    with torch.device("meta"):
        network = build_3d("resnet3d", depth=depth, classes=700)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == recorded(depth)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_is_read_and_starts_other_classes(prefix: str, tmp_path: Path) -> None:
    state = {f"{prefix}{name}": torch.full(shape, 0.5) for name, shape in recorded(18).items()}
    content = {
        "epoch": 200,
        "arch": "resnet-18",
        "state_dict": state,
        "optimizer": {"state": {}},
        "scheduler": {"milestones": Counter([50, 100])},
    }
    torch.save(content, tmp_path / "r3d18_K_200ep.pth")
    read = read_weight_file(tmp_path / "r3d18_K_200ep.pth")
    network = build_3d("resnet3d", depth=18, channels=2, classes=5)
    assert hand_over(network, read, reset_head=False, source="a") == HandOver(True, True)
    assert (network.layer4[1].conv2.weight == 0.5).all()
    with pytest.raises(InputError, match=r"layer1\.0\.conv3\.weight is missing"), torch.device("meta"):
        hand_over(build_3d("resnet3d", depth=50), read, reset_head=False, source="a")


def test_weights_are_theirs_at_their_scale() -> None:
    config = ResNet3dNetwork(architecture="resnet3d", modality="rgb", init="own/r3d50_K_200ep.pth")
    assert config.scale_of("rgb") == "resnets3d"


def norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, variance, weight, bias = (state[f"{name}.{one}"] for one in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, variance, weight, bias)


def by_hand(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """The forward pass of their ResNet-18, of `x` (B, C, T, H, W)."""
    x = norm(F.conv3d(x, state["conv1.weight"], stride=(1, 2, 2), padding=3), state, "bn1").relu()
    x = F.max_pool3d(x, 3, 2, 1)
    for stage in range(1, 5):
        for number in range(2):
            block, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1
            out = norm(F.conv3d(x, state[f"{block}.conv1.weight"], stride=stride, padding=1), state, f"{block}.bn1")
            out = norm(F.conv3d(out.relu(), state[f"{block}.conv2.weight"], padding=1), state, f"{block}.bn2")
            if f"{block}.downsample.0.weight" in state:
                x = F.conv3d(x, state[f"{block}.downsample.0.weight"], stride=stride)
                x = norm(x, state, f"{block}.downsample.1")
            x = (out + x).relu()
    return F.linear(x.mean(dim=(2, 3, 4)), state["fc.weight"], state["fc.bias"])


def test_answers_are_theirs() -> None:
    network = build_3d("resnet3d", depth=18, frames=5).eval()
    state = network.state_dict()
    for value in state.values():
        if value.ndim == 1:
            value.copy_(torch.rand_like(value) + 0.5)
    torch.nn.init.normal_(network.fc.weight)
    clips = torch.randn(1, 5, 3, 33, 24)
    with torch.no_grad():
        expected = by_hand(clips.transpose(1, 2), state)
        torch.testing.assert_close(network(clips).logits, expected, rtol=1e-3, atol=1e-3)


def test_cost_of_a_bottleneck_worked_out() -> None:
    """Of ResNet-50 in 16 frames of 112 x 112: the first convolution, and the first stage behind the pool, by hand."""
    with torch.device("meta"):
        network = build_3d("resnet3d", depth=50)
        for name in ("layer2", "layer3", "layer4"):
            network.set_submodule(name, torch.nn.Sequential())
        network.fc = torch.nn.Linear(256, 1)
    stem = 64 * 3 * 7**3 * 16 * 56 * 56
    first, other = 64 * 64 + 27 * 64 * 64 + 2 * 64 * 256, 256 * 64 + 27 * 64 * 64 + 64 * 256
    stage = (first + 2 * other) * 8 * 28 * 28
    assert gflops_per_clip(network, (16, 3, 112, 112)) == pytest.approx((stem + stage + 256) / 1e9, rel=1e-9)
