"""Checkpoints of PyTorchVideo: names of parameters, files, and the same answers as its own network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from network_helpers import build
from torch import Tensor, nn

from mml_core.errors import InputError
from mml_core.networks import HandOver, hand_over
from mml_core.networks.pytorchvideo_layout import from_pytorchvideo
from mml_core.networks.weights import read_weight_file

NORMALISATION = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def names_of_resnet50(stages: tuple[int, ...], head: int) -> list[str]:
    """Return PyTorchVideo's names, in its order, with the stages and the classifier at the given positions."""
    names = ["blocks.0.conv.weight", *[f"blocks.0.norm.{key}" for key in NORMALISATION]]
    for stage, depth in zip(stages, (3, 4, 6, 3), strict=True):
        for block in range(depth):
            place = f"blocks.{stage}.res_blocks.{block}"
            pairs = [("branch1_conv", "branch1_norm")] if block == 0 else []
            pairs += [(f"branch2.conv_{letter}", f"branch2.norm_{letter}") for letter in "abc"]
            for convolution, normalisation in pairs:
                names.append(f"{place}.{convolution}.weight")
                names += [f"{place}.{normalisation}.{key}" for key in NORMALISATION]
    return [*names, f"blocks.{head}.proj.weight", f"blocks.{head}.proj.bias"]


def renamed(*names: str) -> list[str]:
    return list(from_pytorchvideo({name: torch.zeros(1) for name in names}))


@pytest.mark.parametrize(("stages", "head"), [((1, 3, 4, 5), 6), ((1, 2, 3, 4), 5)])
def test_whole_network_with_and_without_pool_between_the_stages(stages: tuple[int, ...], head: int) -> None:
    names = names_of_resnet50(stages, head)
    assert sorted(renamed(*names)) == sorted(build(backbone="resnet50", architecture="i3d").state_dict())


def test_names_one_by_one() -> None:
    others = [f"blocks.{stage}.res_blocks.0.branch2.conv_b.weight" for stage in (1, 4, 5)]
    pairs = {
        "blocks.0.conv.weight": "conv1.weight",
        "blocks.0.norm.running_mean": "bn1.running_mean",
        "blocks.3.res_blocks.0.branch1_conv.weight": "layer2.0.downsample.0.weight",
        "blocks.3.res_blocks.0.branch1_norm.bias": "layer2.0.downsample.1.bias",
        "blocks.3.res_blocks.2.branch2.conv_a.weight": "layer2.2.conv1.weight",
        "blocks.3.res_blocks.2.branch2.norm_a.weight": "layer2.2.bn1.weight",
        "blocks.3.res_blocks.2.branch2.conv_b.weight": "layer2.2.conv2.weight",
        "blocks.3.res_blocks.2.branch2.norm_b.running_var": "layer2.2.bn2.running_var",
        "blocks.3.res_blocks.2.branch2.conv_c.weight": "layer2.2.conv3.weight",
        "blocks.3.res_blocks.2.branch2.norm_c.num_batches_tracked": "layer2.2.bn3.num_batches_tracked",
        "blocks.6.proj.weight": "fc.weight",
        "blocks.6.proj.bias": "fc.bias",
    }
    assert renamed(*others, *pairs)[3:] == list(pairs.values())


def test_positions_are_numbers() -> None:
    names = [f"blocks.{stage}.res_blocks.11.branch2.conv_a.weight" for stage in (10, 2)]
    assert renamed(*names) == ["layer2.11.conv1.weight", "layer1.11.conv1.weight"]


@pytest.mark.parametrize(
    "name",
    [
        "s1.pathway0_stem.conv.weight",
        "blocks.1.res_blocks.0.branch2.conv_d.weight",
        "blocks.1.multipathway_blocks.0.conv.weight",
        "blocks.5.pool.weight",
        "head.blocks.0.conv.weight",
        f"blocks.{'9' * 5000}.proj.weight",
        "",
    ],
)
def test_other_names_stay(name: str) -> None:
    assert renamed(name) == [name]


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_checkpoint(tmp_path: Path) -> None:
    checkpoint = {"model_state": {"blocks.6.proj.bias": torch.tensor([1.5]).half()}, "epoch": 7, "cfg": "NUM_GPUS: 8"}
    state = read_weight_file(save(tmp_path / "I3D_8x8_R50.pyth", checkpoint))
    assert list(state) == ["fc.bias"]
    assert state["fc.bias"].dtype == torch.float32
    assert state["fc.bias"].tolist() == [1.5]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"blocks.6.proj.bias": torch.zeros(1)}, "expected a checkpoint of PyTorchVideo"),
        ([torch.zeros(1)], "expected a checkpoint of PyTorchVideo"),
        ({"model_state": {}}, "expected a mapping of names to tensors, got an empty one"),
        ({"model_state": torch.zeros(1)}, "expected a mapping of names to tensors, got Tensor"),
        ({"model_state": {"a": {"b": torch.zeros(1)}}}, "'a' is of type dict"),
        ({"model_state": {3: torch.zeros(1)}}, "3 is no name"),
    ],
)
def test_other_content(tmp_path: Path, content: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_weight_file(save(tmp_path / "weights.pyth", content))


def test_only_files_of_pytorchvideo_are_unwrapped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'model_state' is of type dict"):
        read_weight_file(save(tmp_path / "weights.pth", {"model_state": {"a": torch.zeros(1)}}))


def with_statistics(network: nn.Module) -> nn.Module:
    """Give batch normalisation parameters and statistics other than ones and zeros, which hide mistakes."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            for value, mean in (
                (module.weight.data, 1),
                (module.bias.data, 0),
                (module.running_mean, 0),
                (module.running_var, 2),
            ):
                nn.init.normal_(value, mean=mean, std=0.2)
    return network


def test_same_answers_as_pytorchvideo(tmp_path: Path) -> None:
    """Its head averages windows of 4 x 7 x 7, which for 8 x 224 x 224 are all there is."""
    hub = pytest.importorskip("pytorchvideo.models.hub", reason="PyTorchVideo is not installed")
    torch.manual_seed(0)
    reference = with_statistics(hub.i3d_r50()).eval()
    network = build(backbone="resnet50", architecture="i3d", frames=8, classes=400).eval()
    path = save(tmp_path / "I3D_8x8_R50.pyth", {"model_state": reference.state_dict()})
    assert hand_over(network, read_weight_file(path), reset_head=False, source="zoo") == HandOver(False, False)
    clips: Tensor = torch.randn(1, 8, 3, 224, 224)
    with torch.no_grad():
        expected = reference(clips.transpose(1, 2))
        torch.testing.assert_close(network(clips).logits, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
