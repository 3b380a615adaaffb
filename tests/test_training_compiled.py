"""Stages whose steps torch compiles: the same training within rounding, exactly resumed, refused where it cannot be."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest
import torch
import toy
from pydantic import ValidationError
from test_training_engine import same, train
from torch import Tensor, nn
from watched import StopAt

import mml_core.training.engine as engine
from mml_core.config.base import digest
from mml_core.config.dataset import DatasetConfig
from mml_core.config.stage import StageConfig
from mml_core.errors import InputError
from mml_core.networks.shift import ShiftedConv2d
from mml_core.runtime.cli import Stopped
from mml_core.training.batch_norm import GroupBatchNorm, group_batch_norm
from mml_core.training.compiled import compiled, compiling
from mml_core.training.job import StageFiles, train_stage
from mml_core.training.processes import Processes

STAGE = {"networks": {"x": toy.RGB}, "batch_size": 4, "micro_batch_size": 2, "compile": True}
#: torch's compiler without what takes longest, making kernels: with the very bits of none.
TRACED = functools.partial(torch.compile, fullgraph=True, dynamic=False, backend="eager")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder, train=4), folder / "shards"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mml_core.training.compiled.private_folder", lambda _: tmp_path / "cache")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")


def trained(dataset: tuple[DatasetConfig, Path], folder: Path, **more: object) -> StageFiles:
    stage = toy.plan(dataset[0], {"one": {**STAGE, **more}})["one"]
    where = toy.stage_files(folder, dataset[1])
    train(stage, dataset[0], where)
    return where


def test_a_compiled_stage_goes_on_exactly_and_names_its_weights_as_others_do(
    dataset: tuple[DatasetConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trained(dataset, tmp_path / "plain", compile=False)
    monkeypatch.setattr(engine, "compiled", TRACED)
    assert same(plain.weights, trained(dataset, tmp_path / "whole").weights), "with the very dropout"
    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop_on_signals", lambda **_: StopAt(0))
        with pytest.raises(Stopped):
            trained(dataset, tmp_path / "parts")
    assert same(plain.weights, trained(dataset, tmp_path / "parts").weights)


class Block(nn.Module):
    """What the compiler is for."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = ShiftedConv2d(nn.Conv2d(8, 8, 1, bias=False), frames=2)
        self.norm, self.relu, self.dropout = nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.relu(self.norm(self.convolution(x)) + x))


def passed(*, compile_it: bool) -> tuple[list[Tensor], list[str]]:
    """Return what a block says, the gradients, and what its normalisation saw; and the names of its tensors."""
    torch.manual_seed(0)
    block = Block()
    (norm,) = group_batch_norm(block, None)
    assert isinstance(norm, GroupBatchNorm)
    x = torch.randn(4, 8, 5, 5, requires_grad=True)
    with compiling():
        said = (compiled(block) if compile_it else block)(x)
        said.square().sum().backward()
    assert norm.seen is not None and x.grad is not None
    return [said, x.grad, norm.seen, *(one.grad for one in block.parameters())], list(block.state_dict())


@pytest.mark.stress
@pytest.mark.skipif(not shutil.which("g++"), reason="torch's compiler needs a C++ compiler")
def test_what_is_compiled_is_the_same_within_rounding_and_the_same_bits_again(tmp_path: Path, in_full: bool) -> None:
    if not in_full:
        pytest.skip("torch's compiler takes 16 s and more for this")
    (plain, names), (ours, compiled_names) = passed(compile_it=False), passed(compile_it=True)
    assert names == compiled_names
    for one, two in zip(plain, ours, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-3)
    torch.compiler.reset()
    shutil.rmtree(tmp_path / "cache")
    again, _ = passed(compile_it=True)
    assert all(torch.equal(*pair) for pair in zip(ours, again, strict=True))


class Looking(nn.Module):
    """What cannot be one graph: it looks at a value."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_what_cannot_be_compiled_is_told() -> None:
    with (
        pytest.raises(InputError, match=r"torch cannot compile the networks here \(.+\)\n  Hint: .*C\+\+ compiler"),
        compiling(),
    ):
        compiled(Looking())(torch.ones(2))


def test_processes_that_share_a_group_are_refused(dataset: tuple[DatasetConfig, Path], tmp_path: Path) -> None:
    stage = toy.plan(dataset[0], {"one": {**STAGE, "micro_batch_size": 4, "gpus": 2}})["one"]
    where, plan = toy.stage_files(tmp_path, dataset[1]), toy.data_plan(dataset[0])
    with pytest.raises(
        InputError, match=r"compile: true: 2 processes share a group.*\n.*batch_size / micro_batch_size"
    ):
        train_stage(
            stage.document, plan, where, device=torch.device("cpu"), workers=0, code="", processes=Processes(0, 2)
        )


def test_the_key_counts_where_it_is_set_and_other_networks_are_refused() -> None:
    plain, spelt_out, other = (
        StageConfig.model_validate({"networks": {"x": toy.RGB}, **more})
        for more in ({}, {"compile": False}, {"compile": True})
    )
    names = [digest(one.model_dump(mode="json")) for one in (plain, spelt_out, other)]
    assert names[0] == names[1] != names[2]
    policy = {"architecture": "s3d", "modality": "rgb", "init": "random"}
    with pytest.raises(ValidationError, match="compile: true: network x is a s3d, which is not compiled"):
        StageConfig.model_validate({"networks": {"x": policy}, "compile": True})
