"""Checkpoints of TSM's program and of mmaction2: names and shapes of the public code; the files were not tried.

Names follow, in TSM's program, from `ops/models.py` (`base_model`, `new_fc`), `ops/temporal_shift.py` (`.net.`) and
`main.py` (`module.`); in mmaction2 from `resnet.py` (`ConvModule`: `conv` and `bn`), `resnet_tsm.py` (`.conv.net.`) and
`tsm_head.py` (`cls_head.fc_cls`), as of 2019 to 2023.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from network_helpers import build, shift_by_loop
from torch import Tensor, nn

from mml_core.errors import InputError
from mml_core.networks import HandOver, hand_over
from mml_core.networks.weights import read_weight_file

Rename = Callable[[str], str]


def of_tsm(name: str) -> str:
    """Return what TSM's program calls torchvision's `name`: every first convolution of a block is behind a shift."""
    if name.startswith("fc."):
        return f"module.new_{name}"
    return "module.base_model." + re.sub(r"^(layer\d\.\d+\.conv1)\.", r"\1.net.", name)


def of_tsn(name: str) -> str:
    """The same without shift."""
    return of_tsm(name).replace(".net.", ".")


def of_mmaction2_tsn(name: str) -> str:
    """Return what mmaction2 calls torchvision's `name`."""
    if name.startswith("fc."):
        return f"cls_head.fc_cls.{name.removeprefix('fc.')}"
    name = re.sub(r"downsample\.0", "downsample.conv", name)
    name = re.sub(r"downsample\.1", "downsample.bn", name)
    name = re.sub(r"(^|\.)conv(\d)\.", r"\1conv\2.conv.", name)
    return "backbone." + re.sub(r"(^|\.)bn(\d)\.", r"\1conv\2.bn.", name)


def of_mmaction2_tsm(name: str) -> str:
    """The same with shifts."""
    return re.sub(r"(layer\d\.\d+\.conv1\.conv)\.", r"\1.net.", of_mmaction2_tsn(name))


def recorded(rename: Rename, *, backbone: str = "resnet50", channels: int = 3, classes: int = 400) -> dict[str, Tensor]:
    """Return a state dict of torchvision's shapes under other names; all elements of a tensor are its number."""
    with torch.device("meta"):
        network = build(backbone=backbone, channels=channels, classes=classes, architecture="tsn")
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    values = [torch.full((1,), number / 1024) for number in range(len(shapes))]
    return {
        rename(name): torch.tensor(7) if name.endswith("tracked") else value.expand(shape)
        for value, (name, shape) in zip(values, shapes.items(), strict=True)
    }


def checkpoint(state: dict[str, Tensor], kind: str) -> dict[str, Any]:
    """Return what the programs save around `state`."""
    if kind == "tsm":
        return {"epoch": 50, "arch": "resnet50", "state_dict": state, "best_prec1": torch.tensor(74.1)}
    return {"meta": {"mmcv_version": "1.3", "CLASSES": ["a", "b"], "epoch": 50}, "state_dict": state}


def expected(backbone: str, channels: int, classes: int) -> dict[str, Tensor]:
    return recorded(lambda name: name, backbone=backbone, channels=channels, classes=classes)


@pytest.mark.parametrize(
    ("rename", "kind", "file"),
    [
        (of_tsm, "tsm", "TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e50.pth"),
        (of_tsm, "tsm", "ckpt.best.pth.tar"),
        (of_tsn, "tsm", "TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth"),
        (of_mmaction2_tsm, "mmaction2", "tsm_r50_1x1x8.pth"),
        (of_mmaction2_tsn, "mmaction2", "tsn_r50_1x1x3.pth"),
    ],
)
@pytest.mark.parametrize(("backbone", "channels"), [("resnet50", 3), ("resnet18", 10)])
def test_every_name_and_shape_fits(
    rename: Rename, kind: str, file: str, backbone: str, channels: int, tmp_path: Path
) -> None:
    """All come under torchvision's names, of RGB and of stacks of flow; a classifier of other classes is drawn anew."""
    state = recorded(rename, backbone=backbone, channels=channels)
    torch.save(checkpoint(state, kind), tmp_path / file)
    read, theirs = read_weight_file(tmp_path / file), expected(backbone, channels, 400)
    assert read.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name].float()) or name.endswith("tracked") for name, value in read.items())
    network = build(backbone=backbone, channels=channels, classes=5, frames=8)
    assert hand_over(network, read, reset_head=False, source=file) == HandOver(True, False)


def test_rgb_weights_start_a_flow_network(tmp_path: Path) -> None:
    torch.save(checkpoint(recorded(of_tsm, backbone="resnet18"), "tsm"), tmp_path / "rgb.pth")
    network = build(backbone="resnet18", channels=10, classes=400, frames=8)
    read = read_weight_file(tmp_path / "rgb.pth")
    assert hand_over(network, read, reset_head=False, source="rgb.pth") == HandOver(False, True)


def test_without_dropout_the_classifier_stays_in_the_network(tmp_path: Path) -> None:
    """TSM's program then has no `new_fc`; nor have its files `module.` where they were saved from one GPU."""
    state = recorded(of_tsm, backbone="resnet18")
    renamed = {name.replace("module.new_fc", "module.base_model.fc"): value for name, value in state.items()}
    for prefix in ("module.", ""):
        own = {prefix + name.removeprefix("module."): value for name, value in renamed.items()}
        torch.save(checkpoint(own, "tsm"), tmp_path / "w.pth")
        assert read_weight_file(tmp_path / "w.pth").keys() == expected("resnet18", 3, 400).keys()


def test_shifts_are_theirs() -> None:
    """`shift_div` 8, towards the future first: one frame at a time, and as a checkpoint's first block does it."""
    torch.manual_seed(0)
    network, x = build(frames=4), torch.randn(8, 32, 5, 5)
    convolution = network.layer1[0].conv1
    plain = nn.functional.conv2d(shift_by_loop(x, 4), convolution.weight, padding=1)
    torch.testing.assert_close(convolution(x), plain)


@pytest.mark.parametrize(
    ("kind", "rename", "change", "complaint"),
    [
        ("tsm", of_tsm, (r"layer2\.0\.", "layer2.0.block."), "a TSM with non-local blocks"),
        ("tsm", of_tsn, (r"layer2\.(\d)\.", r"layer2.\1.net."), "a TSM with shifts of whole blocks, or with pooling"),
        ("tsm", of_tsm, (r"layer2\.", "layer2.net."), "a TSM with shifts of whole blocks, or with pooling"),
        ("mmaction2", of_mmaction2_tsm, (r"layer2\.0\.conv3", "layer2.0.non_local_block"), "with non-local blocks"),
    ],
)
def test_variants_that_are_other_networks_are_refused(
    kind: str, rename: Rename, change: tuple[str, str], complaint: str, tmp_path: Path
) -> None:
    state = {re.sub(*change, name): value for name, value in recorded(rename, backbone="resnet50").items()}
    torch.save(checkpoint(state, kind), tmp_path / "w.pth")
    with pytest.raises(InputError, match=complaint) as caught:
        read_weight_file(tmp_path / "w.pth")
    assert caught.value.file == tmp_path / "w.pth" and "docs/backbones.md" in caught.value.hint


def test_networks_over_clips_of_mmaction2_are_refused(tmp_path: Path) -> None:
    """An I3D's names are those of a TSN; how it strides over time is in its configuration alone."""
    state = recorded(of_mmaction2_tsn, backbone="resnet18")
    inflated = {name: value[:, :, None] if value.ndim == 4 else value for name, value in state.items()}
    torch.save(checkpoint(inflated, "mmaction2"), tmp_path / "i3d.pth")
    with pytest.raises(InputError, match=r"with 3-D convolutions, whose strides over time are not in the file"):
        read_weight_file(tmp_path / "i3d.pth")


def test_what_is_no_part_of_a_resnet_is_listed(tmp_path: Path) -> None:
    state = recorded(of_tsm, backbone="resnet18") | {"module.base_model.extra.weight": torch.zeros(1)}
    torch.save(checkpoint(state, "tsm"), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"extra\.weight is no parameter of the network"):
        hand_over(build(backbone="resnet18"), read_weight_file(tmp_path / "w.pth"), reset_head=False, source="w.pth")
