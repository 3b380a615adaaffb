"""Weights from outside: kinds of files, damaged and hostile ones, ImageNet weights without a network connection."""

from __future__ import annotations

import hashlib
import json
import pickle
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from mml_core.errors import InputError
from mml_core.networks.weights import imagenet_state, kinetics_state, read_weight_file

STATE = {
    "half": torch.tensor([1.5, -2.0]).half(),
    "brain": torch.tensor([0.25]).bfloat16(),
    "single": torch.tensor([[1.0, 2.0]]),
    "counter": torch.tensor(7),
}


def save(path: Path, state: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_floating_point_becomes_float32_and_integers_stay(tmp_path: Path, name: str) -> None:
    state = read_weight_file(save(tmp_path / name, STATE))
    assert {key: value.dtype for key, value in state.items()} == {
        "half": torch.float32,
        "brain": torch.float32,
        "single": torch.float32,
        "counter": torch.int64,
    }
    assert state["half"].tolist() == [1.5, -2.0]
    assert state["counter"].item() == 7


def test_state_dict_as_torchvision_saves_it(tmp_path: Path) -> None:
    network = torchvision.models.resnet18(num_classes=2)
    state = read_weight_file(save(tmp_path / "net.pth", network.state_dict()))
    other = torchvision.models.resnet18(num_classes=2)
    other.load_state_dict(state)
    assert torch.equal(other.conv1.weight, network.conv1.weight)


def test_nothing_unsafe_is_advised(tmp_path: Path) -> None:
    """Torch's own words are how to load such a file all the same, with `weights_only=False`."""
    path = tmp_path / "w.pth"
    torch.save({"layer": torch.nn.Linear(2, 2)}, path)
    contents = [b"<html>Access denied</html>", b"\x80\x02}q\x00(X\x01", path.read_bytes()]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"w\.pth: cannot be read as weights \(\w+: ") as caught:
            read_weight_file(path)
        for word in ("weights_only", "Weights only", "trust", "\x1b", "torch.load"):
            assert word not in str(caught.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights.pyth"])
@pytest.mark.parametrize("keep", [0, 5, 0.5, 0.95])
def test_damaged_file(tmp_path: Path, name: str, keep: float) -> None:
    path = save(tmp_path / name, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])
    with pytest.raises(InputError, match=r"cannot be read as weights") as caught:
        read_weight_file(path)
    assert caught.value.file == path


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights.pyth"])
def test_text_in_place_of_weights(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("<html>404: not found</html>")
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_weight_file(path)


class Hostile:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("plain_pickle", [True, False])
def test_nothing_is_executed(tmp_path: Path, plain_pickle: bool) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "executed"
    if plain_pickle:
        path.write_bytes(pickle.dumps(Hostile(trace), protocol=2))
    else:
        torch.save({"conv1.weight": Hostile(trace)}, path)
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_weight_file(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if not plain_pickle else pickle.loads(path.read_bytes())
    assert trace.exists(), "the file would have done harm, had it been unpickled"


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        (
            {"epoch": 3, "state_dict": {"a": torch.zeros(1)}},
            r"'epoch' is of type int\n  - 'state_dict' is of type dict\n",
        ),
        ({3: torch.zeros(1)}, "3 is no name"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "'a' is a sparse tensor"),
        ([torch.zeros(1)], "expected a mapping of names to tensors, got list"),
        (torch.zeros(1), "got Tensor"),
        ({}, "got an empty one"),
    ],
)
def test_something_else_than_tensors_by_name(tmp_path: Path, state: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_weight_file(save(tmp_path / "weights.pth", state))


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_weight_file(tmp_path / "absent.pth")
    (tmp_path / "weights.h5").touch()
    with pytest.raises(InputError, match=r"\.safetensors, \.pth, \.pth\.tar and \.pyth files only"):
        read_weight_file(tmp_path / "weights.h5")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return torch hub's folder of downloads, empty, on a machine without a network."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("backbone", "file"),
    [
        ("resnet18", "resnet18-f37072fd.pth"),
        ("resnet34", "resnet34-b627a593.pth"),
        ("resnet50", "resnet50-0676ba61.pth"),
        ("resnet101", "resnet101-63fe2227.pth"),
    ],
)
def test_offline_says_which_file_goes_where(hub: Path, backbone: str, file: str) -> None:
    with pytest.raises(InputError) as caught:
        imagenet_state(backbone)
    assert caught.value.message.startswith(f"ImageNet weights of {backbone}: {file} could not be downloaded into {hub}")
    assert f"put {file} from another one into {hub}" in caught.value.hint
    assert "`init: path/to/weights.pth`" in caught.value.hint


def test_cached_imagenet_weights_come_without_classifier(hub: Path) -> None:
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), hub / "resnet18-f37072fd.pth")
    state = imagenet_state("resnet18")
    assert set(network.state_dict()) - set(state) == {"fc.weight", "fc.bias"}
    assert torch.equal(state["layer4.1.conv2.weight"], network.layer4[1].conv2.weight)


def test_damaged_download_is_named(hub: Path) -> None:
    (hub / "resnet18-f37072fd.pth").write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"resnet18-f37072fd\.pth could not be read from .*checkpoints"):
        imagenet_state("resnet18")


def test_checksum_is_asked_for_and_failing_it_is_an_input_error(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def corrupted(_url: str, _file: str, hash_prefix: str | None = None, **_: Any) -> None:
        assert hash_prefix == "0676ba61"
        raise RuntimeError('invalid hash value (expected "0676ba61", got "00000000")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", corrupted)
    with pytest.raises(InputError, match="invalid hash value"):
        imagenet_state("resnet50")


def test_tiny_backbone_has_no_imagenet_weights() -> None:
    with pytest.raises(InputError, match="resnet_tiny has no ImageNet weights") as caught:
        imagenet_state("resnet_tiny")
    assert "init: random" in caught.value.hint


@pytest.mark.parametrize("state", [imagenet_state, kinetics_state])
def test_names_without_weights(state: Callable[[str], Any]) -> None:
    with pytest.raises(InputError, match="weights of vgg16"):
        state("vgg16")


def test_cached_weights_of_s3d_come_without_classifier(hub: Path) -> None:
    network = torchvision.models.video.s3d()
    torch.save(network.state_dict(), hub / "s3d-d76dad2f.pth")
    state = kinetics_state("s3d")
    assert set(network.state_dict()) - set(state) == {"classifier.1.weight", "classifier.1.bias"}
    assert torch.equal(state["features.0.0.0.weight"], network.features[0][0][0].weight)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("s3d", "s3d-d76dad2f.pth"),
        ("resnet50", "I3D_8x8_R50.pyth"),
        ("r2plus1d_18", "r2plus1d_18-91a641e6.pth"),
        ("r3d_18", "r3d_18-b3b3357e.pth"),
        ("mc3_18", "mc3_18-a90a0ba3.pth"),
        ("swin3d_t", "swin3d_t-7615ae03.pth"),
        ("swin3d_s", "swin3d_s-da41c237.pth"),
        ("swin3d_b", "swin3d_b_1k-24f7c7c6.pth"),
        ("mvit_v2_s", "mvit_v2_s-ae3be167.pth"),
    ],
)
def test_offline_says_which_file_of_kinetics_goes_where(hub: Path, name: str, file: str) -> None:
    with pytest.raises(InputError, match=f"{file} could not be downloaded into") as caught:
        kinetics_state(name)
    assert f"put {file} from another one into {hub}" in caught.value.hint


def test_cached_weights_of_i3d_come_under_our_names_and_without_classifier(hub: Path) -> None:
    names = ["blocks.0.conv.weight", "blocks.1.res_blocks.0.branch2.conv_a.weight", "blocks.6.proj.weight"]
    torch.save({"model_state": {name: torch.zeros(1) for name in names}}, hub / "I3D_8x8_R50.pyth")
    assert set(kinetics_state("resnet50")) == {"conv1.weight", "layer1.0.conv1.weight"}


@pytest.mark.parametrize(
    ("name", "file", "kept", "dropped"),
    [
        (
            "swin3d_t",
            "swin3d_t-7615ae03.pth",
            ["patch_embed.proj.weight", "features.0.0.attn.qkv.bias"],
            ["features.0.0.attn.relative_position_index", "head.weight", "head.bias"],
        ),
        (
            "mvit_v2_s",
            "mvit_v2_s-ae3be167.pth",
            ["conv_proj.weight", "pos_encoding.class_token", "blocks.0.attn.rel_pos_h"],
            ["head.1.weight", "head.1.bias"],
        ),
        ("r2plus1d_18", "r2plus1d_18-91a641e6.pth", ["stem.0.weight"], ["fc.weight", "fc.bias"]),
    ],
)
def test_cached_weights_of_networks_over_clips_come_under_our_names_and_without_classifier(
    hub: Path, name: str, file: str, kept: list[str], dropped: list[str]
) -> None:
    torch.save({one: torch.zeros(1, 1, 1, 1, 1) for one in kept + dropped}, hub / file)
    assert set(kinetics_state(name)) == {*kept}


@pytest.mark.parametrize(
    ("source", "name", "file", "network"),
    [
        ("kinetics", "s3d", "s3d-d76dad2f.pth", torchvision.models.video.s3d),
        ("imagenet", "resnet18", "resnet18-f37072fd.pth", torchvision.models.resnet18),
    ],
)
def test_script_keeps_them_with_a_receipt(
    hub: Path,
    tmp_path: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    name: str,
    file: str,
    network: Callable[[], nn.Module],
) -> None:
    torch.save(network().state_dict(), hub / file)
    script, output = project / "workflow" / "scripts" / "pretrained_weights.py", tmp_path / f"{name}.safetensors"
    arguments = ["--source", source, "--name", name, "--output", str(output)]
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    runpy.run_path(str(script))["main"]()
    receipt = json.loads(output.with_suffix(".json").read_text())
    assert receipt == {"sha256": hashlib.sha256(output.read_bytes()).hexdigest()}
    assert not [key for key in read_weight_file(output) if key.startswith(("fc.", "classifier."))]
