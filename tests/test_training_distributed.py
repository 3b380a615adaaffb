"""Two processes that train one stage together do what one does: the same curve, the same resume, exact validation."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import toy
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from mml_core.clips import collate_clips, epoch_batches, normalise
from mml_core.errors import InputError
from mml_core.objectives import Mutual
from mml_core.plan.stages import Stage
from mml_core.runtime.cli import EXIT_STOPPED, Stopped
from mml_core.training.batch_norm import SynchronisedBatchNorm, synchronise_batch_norm
from mml_core.training.build import build_members
from mml_core.training.engine import Trainer
from mml_core.training.job import StageFiles, open_stage_data, train_stage
from mml_core.training.launch import launch_on_nodes, nodes_of_job, processes_per_node
from mml_core.training.processes import ALONE, Processes

pytestmark = pytest.mark.stress

SMOOTH = {**toy.RGB, "dropout": 0}
#: Steps of 5 clips, so that two processes have shares of 3 and 2.
PAIR = {
    "networks": {"x": SMOOTH, "y": {**SMOOTH, "modality": "flow"}},
    "objective": "mutual",
    "batch_size": 5,
    "epochs": 3,
    "clip": {"crop_px": 32, "frames": 4},
    # slow, since these networks, on noise, make of a rounding error a difference that shows after a few large steps
    "optimizer": {"learning_rate": 3e-4},
}


class Toy:
    """A data set, and trainings on it in processes of their own."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder, self.project = folder, project
        self.dataset = toy.make_dataset(folder, validation=5)
        self.file = toy.write_plan(self.dataset, folder)

    def plan(self, **more: Any) -> Stage:
        return toy.plan(self.dataset, {"pair": {**PAIR, **more}})["pair"]

    def files(self, name: str) -> StageFiles:
        return toy.stage_files(self.folder / name, self.folder / "shards")

    def start(self, stage: Stage, where: StageFiles, processes: int = 2) -> subprocess.Popen[str]:
        return subprocess.Popen(
            toy.train_command(stage, self.file, where, self.project, "--processes", str(processes)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def train(self, stage: Stage, name: str, processes: int = 2) -> tuple[StageFiles, str]:
        where = self.files(name)
        process = self.start(stage, where, processes)
        output = process.communicate()[0]
        assert process.returncode == 0, output
        return where, output

    def train_alone(self, stage: Stage, name: str) -> StageFiles:
        where = self.files(name)
        train_stage(stage.document, toy.data_plan(self.dataset), where, device=torch.device("cpu"), workers=0, code="")
        return where


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Toy:
    return Toy(tmp_path_factory.mktemp("distributed"), project)


def rows(where: StageFiles) -> list[dict[str, str]]:
    with where.history.open() as file:
        return list(csv.DictReader(file))


def same(first: StageFiles, second: StageFiles) -> bool:
    one, two = load_file(first.weights), load_file(second.weights)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_two_processes_follow_the_curve_of_one(lab: Toy) -> None:
    one = lab.train_alone(lab.plan(), "one")
    two, output = lab.train(lab.plan(gpus=2), "two")
    assert output.count("2 network(s) to train") == 1, "only one process tells how it goes"
    assert "the CPU (1 threads), 2 processes" in output
    for alone, together in zip(rows(one), rows(two), strict=True):
        for column in ("loss", "cross_entropy", "divergence"):
            assert float(together[column]) == pytest.approx(float(alone[column]), rel=1e-5, abs=2e-6), column
        for column in ("epoch", "network", "learning_rate", "train_top1", "validation_top1"):
            assert together[column] == alone[column], column
    ours, theirs = load_file(two.weights), load_file(one.weights)
    assert ours.keys() == theirs.keys()
    for key, values in theirs.items():
        assert torch.allclose(ours[key].double(), values.double(), rtol=1e-4, atol=1e-5), key


def test_gpus_are_no_setting_unless_each_normalises_for_itself(lab: Toy) -> None:
    assert lab.plan().key == lab.plan(gpus=2).key == lab.plan(sync_batch_norm=False).key
    keys = {lab.plan(gpus=count, sync_batch_norm=False).key for count in (1, 2, 3)}
    assert len(keys) == 3
    document = lab.plan(gpus=2, sync_batch_norm=False).document
    assert type(document).from_json(document.to_json()) == document


def test_nodes_are_no_setting_and_share_gpus_evenly(lab: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lab.plan(gpus=4, nodes=2).key == lab.plan().key
    local = {"gpus": 4, "sync_batch_norm": False}
    assert lab.plan(**local, nodes=2).key == lab.plan(**local).key
    with pytest.raises(InputError, match="3 gpus cannot be shared out evenly over 2 nodes"):
        lab.plan(gpus=3, nodes=2)
    assert processes_per_node(6, 3) == 2
    with pytest.raises(InputError, match=r"2 GPU\(s\) cannot be shared out evenly over 4 nodes"):
        processes_per_node(2, 4)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert nodes_of_job(2) == 1, "nothing starts processes elsewhere"


@pytest.mark.parametrize(
    ("status", "expected", "said"),
    [(0, None, ""), (1, SystemExit, "srun ended with status 1"), (EXIT_STOPPED, Stopped, "")],
)
def test_what_became_of_several_nodes_is_what_srun_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: int,
    expected: type[BaseException] | None,
    said: str,
) -> None:
    srun = tmp_path / "srun"
    srun.write_text(f'#!/bin/sh\necho "$@"\nexit {status}\n')
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(expected) if expected else nullcontext():
        launch_on_nodes(Path("train.py"), ["--document", "a b"], nodes=3, threads=8)
    output, errors = capfd.readouterr()
    assert "--nodes=3 --ntasks=3 --ntasks-per-node=1 --cpus-per-task=8" in output
    assert re.search(r"-u train\.py --document a b --meeting-point \S+:\d+$", output, re.MULTILINE)
    assert said in errors


def test_batch_norm_of_each_process_for_itself(lab: Toy) -> None:
    stage = lab.plan(gpus=2, sync_batch_norm=False, batch_size=10, epochs=1)
    where, _ = lab.train(stage, "local")
    config = stage.document.config
    clips = open_stage_data(stage.document, toy.data_plan(lab.dataset), lab.folder / "shards").training
    kinds = {name: store.info.kind for name, store in clips.stores.items()}
    networks = build_members(stage.document, {}, kinds, classes=2, device=torch.device("cpu")).trainees
    (keys,) = epoch_batches(len(clips), 10, config.seed, 0)
    expected = torch.zeros(2)
    for rank in (0, 1):
        batch = collate_clips([clips[key] for key in keys[rank::2]])
        predictions = [
            one.network.train()(normalise(batch.inputs[one.modality], one.kind)) for one in networks.values()
        ]
        losses = Mutual(target="probabilities", multi_label=False)(predictions, batch.targets).totals
        expected += torch.stack(losses).detach() / 2
    assert [float(row["loss"]) for row in rows(where)] == pytest.approx(expected.tolist(), rel=1e-4)
    state = load_file(where.weights)
    # one step from the first process's batch alone: running mean = 0.1 * its mean
    first = networks["x"].network
    assert torch.allclose(state["x/bn1.running_mean"], _mean_after_first_convolution(first, clips, keys[0::2]) * 0.1)


def _mean_after_first_convolution(network: nn.Module, clips: Any, keys: list[tuple[int, int]]) -> torch.Tensor:
    batch = collate_clips([clips[key] for key in keys])
    with torch.no_grad():
        return network.conv1(normalise(batch.inputs["rgb"], "rgb").flatten(0, 1)).mean((0, 2, 3))


@pytest.fixture(scope="module")
def long_run(lab: Toy) -> tuple[Stage, StageFiles]:
    stage = lab.plan(gpus=2, epochs=20)
    return stage, lab.train(stage, "undisturbed")[0]


def wait_for_state(where: StageFiles, process: subprocess.Popen[str]) -> None:
    while not (where.state / "state.safetensors").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def stopped(lab: Toy, stage: Stage, name: str) -> StageFiles:
    """Return the files of a training that was asked to stop after its first epoch."""
    where = lab.files(name)
    process = lab.start(stage, where)
    wait_for_state(where, process)
    process.send_signal(signal.SIGTERM)
    output = process.communicate()[0]
    assert process.returncode == EXIT_STOPPED, output
    assert "state saved" in output
    assert not where.weights.exists()
    return where


def test_asked_to_stop_all_save_and_go_on_with_the_same_bits(lab: Toy, long_run: tuple[Stage, StageFiles]) -> None:
    stage, undisturbed = long_run
    where = stopped(lab, stage, "stopped")
    _, output = lab.train(stage, "stopped")
    assert "going on at epoch" in output
    assert same(undisturbed, where)


def test_one_process_killed_ends_all_and_they_go_on_with_the_same_bits(
    lab: Toy, long_run: tuple[Stage, StageFiles]
) -> None:
    stage, undisturbed = long_run
    where = lab.files("killed")
    process = lab.start(stage, where)
    wait_for_state(where, process)
    victim = next(child for child in children(process.pid) if b"train_stage.py" in command_line(child))
    os.kill(victim, signal.SIGKILL)
    output = process.communicate()[0]
    assert process.returncode == 1, output
    assert "processes that failed" in output
    _, output = lab.train(stage, "killed")
    assert "going on at epoch" in output
    assert same(undisturbed, where)


def test_what_two_began_one_can_end(lab: Toy, long_run: tuple[Stage, StageFiles]) -> None:
    stage, undisturbed = long_run
    where = stopped(lab, stage, "fewer")
    _, output = lab.train(stage, "fewer", processes=1)
    assert "going on at epoch" in output
    assert len(rows(where)) == len(rows(undisturbed))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_fault_is_told_and_no_traceback_of_the_launcher(lab: Toy) -> None:
    stage = lab.plan(gpus=2)
    where = toy.stage_files(lab.folder / "faulty", lab.folder / "nowhere")
    process = lab.start(stage, where)
    output = process.communicate()[0]
    assert process.returncode == 1
    assert "error: " in output
    assert "nowhere" in output
    assert "Traceback" not in output


def test_fewer_processes_are_refused_where_each_normalises_for_itself(lab: Toy) -> None:
    stage = lab.plan(gpus=2, sync_batch_norm=False)
    with pytest.raises(InputError, match=r"1 process\(es\) would train what 2 should"):
        lab.train_alone(stage, "too_few")


def test_more_processes_than_clips_are_refused(lab: Toy, tmp_path: Path) -> None:
    stage = lab.plan()
    data = open_stage_data(stage.document, toy.data_plan(lab.dataset), lab.folder / "shards")
    with pytest.raises(InputError, match=r"6 processes cannot share steps of 5 clips"):
        Trainer(
            {},
            Mutual(target="probabilities", multi_label=False),
            stage.document.config,
            data.training,
            lambda _: {},
            lambda _: None,
            state_folder=tmp_path,
            fingerprint="",
            device=torch.device("cpu"),
            workers=0,
            processes=Processes(0, 6),
        )


@given(st.lists(st.integers(), max_size=200), st.integers(1, 20))
def test_shares_have_every_item_once_and_are_alike(items: list[int], count: int) -> None:
    shares = [Processes(rank, count).share(items) for rank in range(count)]
    assert sorted(item for share in shares for item in share) == sorted(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_needs_no_group() -> None:
    assert not dist.is_initialized()
    assert ALONE.leads
    assert ALONE.share([1, 2, 3]) == [1, 2, 3]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.all_equal(7)
    network = nn.Linear(1, 1)
    assert ALONE.together(network, synchronised=True) is network


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm2d, (6, 3, 5, 4)), (nn.BatchNorm3d, (4, 3, 2, 5, 4))])
def test_synchronised_batch_norm_is_torch_s_own(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    theirs = nn.Sequential(kind(3), nn.ReLU()).double()
    nn.init.normal_(theirs[0].weight)
    nn.init.normal_(theirs[0].bias)
    ours = nn.Sequential(kind(3), nn.ReLU()).double()
    ours.load_state_dict(theirs.state_dict())
    parameters = dict(ours.named_parameters())
    synchronise_batch_norm(ours)
    assert isinstance(ours[0], SynchronisedBatchNorm)
    assert all(parameters[name] is value for name, value in ours.named_parameters()), "an optimizer holds these"
    for _ in range(2):
        x = (torch.randn(shape, dtype=torch.float64) * 3 + 1).requires_grad_()
        y = x.detach().clone().requires_grad_()
        weight = torch.randn(shape, dtype=torch.float64)
        (theirs(x) * weight).sum().backward()
        (ours(y) * weight).sum().backward()
        assert torch.allclose(x.grad, y.grad)
    for one, two in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad)
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for key, values in theirs.state_dict().items():
        assert torch.allclose(ours.state_dict()[key], values), key
    x = torch.randn(shape, dtype=torch.float64)
    assert torch.allclose(theirs.eval()(x), ours.eval()(x))
