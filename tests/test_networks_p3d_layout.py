"""Checkpoints of pseudo-3d-pytorch: names and shapes of the public code; the files were not tried."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from network_helpers import build_3d
from test_networks_p3d import planned
from torch import Tensor

from mml_core.errors import InputError
from mml_core.networks import HandOver, convert_input_channels, hand_over
from mml_core.networks.weights import read_weight_file

#: Names and shapes of the port's P3D-199 over RGB with 400 classes, from its own class (commit 09bba23).
RECORDED = Path(__file__).parent / "data" / "p3d_199.csv"


def recorded(*, counters: bool = True) -> dict[str, Tensor]:
    """Return a state dict with the port's names and shapes; all elements of a tensor have one value, its number."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        rows = [
            (row["name"], [int(size) for size in filter(None, row["shape"].split("x"))]) for row in csv.DictReader(file)
        ]
    return {
        name: torch.full((1,), number / 1024).expand(shape) if shape else torch.tensor(number)
        for number, (name, shape) in enumerate(rows)
        if shape or counters
    }


@pytest.mark.parametrize(
    ("form", "counters"),
    [("{}", True), ("module.{}", False), ("plain", True), ("arch", True)],
    ids=["as the port reads it", "prefix, old torch", "state dict alone", "with its architecture"],
)
def test_checkpoints_of_the_port(tmp_path: Path, form: str, counters: bool) -> None:
    state = recorded(counters=counters)
    named = {form.format(name) if "{}" in form else name: value for name, value in state.items()}
    more = {"arch": "p3d", "epoch": 3} if form == "arch" else {"epoch": 3, "best_prec1": 70.1}
    torch.save(named if form == "plain" else {"state_dict": named, **more}, tmp_path / "p3d_rgb_199.checkpoint.pth")
    network = planned(152).to_empty(device="cpu")
    read = read_weight_file(tmp_path / "p3d_rgb_199.checkpoint.pth")
    assert hand_over(network, read, reset_head=False, source="file") == HandOver(False, False)
    loaded = network.state_dict()
    assert {name for name in loaded if not name.endswith("tracked")} <= set(state) <= set(loaded)
    for name, value in state.items():
        assert torch.equal(loaded[name].squeeze(), value.squeeze()), name
        assert loaded[name].shape == value.shape or (name.startswith("layer4.") and loaded[name].ndim == 5)


def test_checkpoint_of_another_modality_and_of_other_classes(tmp_path: Path) -> None:
    torch.save({"state_dict": recorded()}, tmp_path / "rgb.pth")
    network = build_3d("p3d", channels=2, classes=101, depth=152)
    read = read_weight_file(tmp_path / "rgb.pth")
    assert hand_over(network, read, reset_head=False, source="file") == HandOver(True, True)
    stem = read["conv1_custom.weight"]
    assert torch.equal(network.conv1_custom.weight, convert_input_channels(stem, 2))
    assert network.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)


def test_checkpoint_of_another_depth_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": recorded()}, tmp_path / "rgb.pth")
    with pytest.raises(InputError, match=r"layer2\.4\.conv1\.weight is no parameter of the network"):
        hand_over(planned(50), read_weight_file(tmp_path / "rgb.pth"), reset_head=False, source="p3d_199.pth")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"state_dict": {"conv1_custom.weight": 3}}, "'conv1_custom.weight' is of type int"),
        ({"state_dict": {"module.conv1_custom.weight": torch.zeros(1), 3: torch.zeros(1)}}, "3 is no name"),
        ({"state_dict": {"conv1.weight": torch.zeros(1)}}, "'state_dict' is of type dict"),
        ({"state_dict": ["conv1_custom.weight"]}, "'state_dict' is of type list"),
    ],
)
def test_other_content(tmp_path: Path, content: Any, complaint: str) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=complaint):
        read_weight_file(tmp_path / "weights.pth")
