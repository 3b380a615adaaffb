"""Checkpoints of MARS and 3D-ResNets-PyTorch: names and shapes of the public code; the files were not tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from network_helpers import build_3d
from torch import Tensor

from mml_core.errors import InputError
from mml_core.networks import HandOver, VideoNetwork, convert_input_channels, hand_over
from mml_core.networks.weights import read_weight_file

STAGES = ((128, 3), (256, 4), (512, 23), (1024, 3))


def recorded(channels: int, classes: int, *, counters: bool = True) -> dict[str, Tensor]:
    """Return a state dict with the names and shapes of the authors' 3D ResNeXt-101 of cardinality 32.

    All elements of a tensor have one value, its number (one element in memory). Weights that torch before 0.4.1 saved
    have no counters.
    """
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, channels, 7, 7, 7)}

    def add_normalisation(name: str, width: int) -> None:
        shapes.update({f"{name}.{key}": (width,) for key in ("weight", "bias", "running_mean", "running_var")})
        if counters:
            shapes[f"{name}.num_batches_tracked"] = ()

    add_normalisation("bn1", 64)
    width = 64
    for stage, (planes, blocks) in enumerate(STAGES, start=1):
        for number in range(blocks):
            block = f"layer{stage}.{number}"
            shapes[f"{block}.conv1.weight"] = (planes, width, 1, 1, 1)
            add_normalisation(f"{block}.bn1", planes)
            shapes[f"{block}.conv2.weight"] = (planes, planes // 32, 3, 3, 3)
            add_normalisation(f"{block}.bn2", planes)
            shapes[f"{block}.conv3.weight"] = (2 * planes, planes, 1, 1, 1)
            add_normalisation(f"{block}.bn3", 2 * planes)
            if number == 0:
                shapes[f"{block}.downsample.0.weight"] = (2 * planes, width, 1, 1, 1)
                add_normalisation(f"{block}.downsample.1", 2 * planes)
            width = 2 * planes
    shapes |= {"fc.weight": (classes, 2048), "fc.bias": (classes,)}
    return {
        name: torch.tensor(number) if name.endswith("tracked") else torch.full((1,), number / 1024).expand(shape)
        for number, (name, shape) in enumerate(shapes.items())
    }


def save(path: Path, state: dict[str, Tensor], *, prefix: str = "module.", **settings: Any) -> Path:
    """Save `state` as the authors' training does."""
    checkpoint = {
        "epoch": 120,
        "arch": "resnext-101",
        "state_dict": {f"{prefix}{name}": value for name, value in state.items()},
        "optimizer": {
            "state": {1: {"momentum_buffer": torch.zeros(3)}},
            "param_groups": [{"lr": 0.1, "nesterov": False, "params": [0, 1]}],
        },
    }
    torch.save(checkpoint, path, **settings)
    return path


@pytest.fixture(scope="module")
def networks() -> dict[int, VideoNetwork]:
    """Return networks over RGB and over flow by their numbers of channels; every test loads weights of its own."""
    return {channels: build_3d("resnext3d", channels=channels, classes=400) for channels in (3, 2)}


@pytest.mark.parametrize(
    ("channels", "settings"),
    [(3, {}), (2, {}), (3, {"prefix": ""}), (2, {"_use_new_zipfile_serialization": False})],
    ids=["RGB, MARS or MERS", "flow", "prefix removed", "file of old torch"],
)
def test_checkpoint_of_the_modality(
    tmp_path: Path, networks: dict[int, VideoNetwork], channels: int, settings: dict[str, Any]
) -> None:
    state = recorded(channels, 400, counters="prefix" in settings)
    read = read_weight_file(save(tmp_path / "RGB_Kinetics_16f.pth", state, **settings))
    assert hand_over(networks[channels], read, reset_head=False, source="file") == HandOver(False, False)
    loaded = networks[channels].state_dict()
    assert {name for name in loaded if not name.endswith("tracked")} <= set(state) <= set(loaded)
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


@pytest.mark.parametrize(("old", "new"), [(3, 2), (2, 3)])
def test_checkpoint_of_another_modality_and_of_other_classes(
    tmp_path: Path, networks: dict[int, VideoNetwork], old: int, new: int
) -> None:
    state = recorded(old, 101)
    read = read_weight_file(save(tmp_path / "weights.pth", state))
    assert hand_over(networks[new], read, reset_head=False, source="file") == HandOver(True, True)
    loaded = networks[new].state_dict()
    assert torch.equal(loaded["conv1.weight"], convert_input_channels(state["conv1.weight"], new))
    assert torch.equal(loaded["layer3.22.conv2.weight"], state["layer3.22.conv2.weight"])
    assert loaded["fc.weight"].std().item() == pytest.approx(0.001, rel=0.1)


def test_checkpoint_of_another_depth_is_refused(tmp_path: Path, networks: dict[int, VideoNetwork]) -> None:
    state = {name: value for name, value in recorded(3, 400).items() if not name.startswith("layer3.22")}
    with pytest.raises(InputError, match=r"layer3\.22\.conv1\.weight is missing"):
        hand_over(
            networks[3], read_weight_file(save(tmp_path / "a.pth", state)), reset_head=False, source="resnet-101.pth"
        )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"arch": "resnext-101", "state_dict": {}}, "expected a mapping of names to tensors, got an empty one"),
        ({"arch": "resnext-101", "state_dict": {"module.a": 3}}, "'a' is of type int"),
        ({"arch": "resnext-101", "state_dict": {3: torch.zeros(1)}}, "3 is no name"),
        ({"arch": "resnext-101", "state_dict": torch.zeros(1)}, "'arch' is of type str"),
        ({"arch": 101, "state_dict": {"a": torch.zeros(1)}}, "'arch' is of type int"),
        ({"state_dict": {"a": torch.zeros(1)}}, "'state_dict' is of type dict"),
    ],
)
def test_other_content(tmp_path: Path, content: Any, complaint: str) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=complaint):
        read_weight_file(tmp_path / "weights.pth")


def test_prefix_goes_only_where_all_names_have_it(tmp_path: Path) -> None:
    state = {"module.a": torch.zeros(1), "b": torch.ones(1)}
    torch.save({"arch": "resnext-101", "state_dict": state}, tmp_path / "weights.pth")
    assert set(read_weight_file(tmp_path / "weights.pth")) == {"module.a", "b"}
