"""Two processes that train one stage together do what one does: the same curve, the same resume, exact validation."""

from __future__ import annotations

import csv
import functools
import os
import re
import signal
import subprocess
import sys
import time
import warnings
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
from job_server import folder_of_python
from safetensors.torch import load_file
from torch import nn

from mml_core.config.base import merge
from mml_core.errors import InputError
from mml_core.plan.stages import Stage
from mml_core.runtime.cli import EXIT_STOPPED, Stopped
from mml_core.training.batch_norm import GroupBatchNorm, group_batch_norm, settle
from mml_core.training.engine import Trainer
from mml_core.training.job import StageFiles, train_stage
from mml_core.training.launch import launch_on_nodes, nodes_of_job, processes_per_node
from mml_core.training.processes import ALONE, Processes

pytestmark = [pytest.mark.stress, pytest.mark.long]

SMOOTH = {**toy.RGB, "dropout": 0}
#: Steps of 5 clips, so that two processes have shares of 3 and 2.
PAIR = {
    "networks": {"x": SMOOTH, "y": {**SMOOTH, "modality": "flow"}},
    "objective": "mutual",
    "batch_size": 5,
    "epochs": 3,
    "clip": {"crop_px": 32, "frames": 4},
    # slow, since these networks, on noise, make of a rounding error a difference that shows after a few large steps: of
    # the last losses, 3e-5 on some processors
    "optimizer": {"learning_rate": 3e-4},
}


class Toy:
    """A data set, and trainings on it in processes of their own."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder, self.project = folder, project
        self.dataset = toy.make_dataset(folder, validation=5)
        self.file = toy.write_plan(self.dataset, folder)
        self.temporary = folder / "temporary"
        self.temporary.mkdir()

    def plan(self, **more: Any) -> Stage:
        return toy.plan(self.dataset, {"pair": merge(PAIR, more)})["pair"]

    def files(self, name: str) -> StageFiles:
        return toy.stage_files(self.folder / name, self.folder / "shards")

    def start(
        self, stage: Stage, where: StageFiles, processes: int = 2, python: str | Path = ""
    ) -> subprocess.Popen[str]:
        """Start a training, by default in a fork, which takes signals as a process of its own does."""
        command = toy.train_command(stage, self.file, where, self.project, "--processes", str(processes))
        return subprocess.Popen(
            [python or folder_of_python() / "python", *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(self.temporary)},
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
    assert list(lab.temporary.iterdir()) == [], "the launcher leaves no folder behind"
    assert output.count("2 network(s) to train") == 1, "only one process tells how it goes"
    assert "the CPU (1 threads), 2 processes" in output
    for alone, together in zip(rows(one), rows(two), strict=True):
        for column in ("loss", "cross_entropy", "divergence"):
            assert float(together[column]) == pytest.approx(float(alone[column]), rel=1e-4, abs=2e-5), column
        for column in ("epoch", "network", "learning_rate", "train_top1", "validation_top1"):
            assert together[column] == alone[column], column
    ours, theirs = load_file(two.weights), load_file(one.weights)
    assert ours.keys() == theirs.keys()
    for key, values in theirs.items():
        assert torch.allclose(ours[key].double(), values.double(), rtol=1e-3, atol=1e-4), key


def test_buffers_stay_each_process_s_own_by_a_name_that_torch_does_not_warn_of(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = Processes(0, 2).together(nn.BatchNorm1d(2))
            model(torch.ones(3, 2))
        assert not model.will_sync_module_buffers()
    finally:
        dist.destroy_process_group()


def test_gpus_and_nodes_are_no_setting(lab: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are what a result depends on, however many processes have them."""
    assert lab.plan().key == lab.plan(gpus=2).key == lab.plan(gpus=4, nodes=2).key
    grouped = [lab.plan(batch_size=4, micro_batch_size=2, gpus=count).key for count in (1, 2, 4)]
    assert len(set(grouped)) == 1
    assert lab.plan(batch_size=4).key not in grouped
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


#: Groups of a step: as many as processes; one more; and half as many, so that two processes normalise together.
GROUPED = {
    "a group each": ({"batch_size": 4, "micro_batch_size": 2}, 2),
    "three groups": ({"batch_size": 9, "micro_batch_size": 3}, 2),
    "a shared group each": ({"batch_size": 8, "micro_batch_size": 4}, 4),
}


@pytest.mark.parametrize("name", GROUPED)
def test_groups_decide_and_not_the_processes(lab: Toy, name: str) -> None:
    settings, processes = {**GROUPED[name][0], "epochs": 2}, GROUPED[name][1]
    one = lab.train_alone(lab.plan(**settings), f"{name}, alone")
    several, _ = lab.train(lab.plan(**settings, gpus=processes), f"{name}, together", processes)
    for alone, together in zip(rows(one), rows(several), strict=True):
        assert float(together["loss"]) == pytest.approx(float(alone["loss"]), rel=1e-5, abs=2e-6)
    ours, theirs = load_file(several.weights), load_file(one.weights)
    for key, values in theirs.items():
        assert torch.allclose(ours[key].double(), values.double(), rtol=1e-3, atol=1e-4), key
    whole = lab.train_alone(lab.plan(batch_size=settings["batch_size"], epochs=2), f"{name}, whole")
    differences = [abs(float(a["loss"]) - float(b["loss"])) for a, b in zip(rows(one), rows(whole), strict=True)]
    assert max(differences) > 1e-4, "normalisation over groups makes a difference that would be seen"


def test_parts_learn_in_turns_in_two_processes_as_in_one(lab: Toy) -> None:
    """With Adam, frozen parts, groups and turns in which a network does not learn at all."""
    turns = [{"parts": ["x", "y.fc"]}, {"parts": ["y.layer4"], "optimizer": {"kind": "adam", "learning_rate": 1e-4}}]
    networks = {"x": {"frozen": ["bn1"]}}
    settings = {"turns": turns, "networks": networks, "batch_size": 4, "micro_batch_size": 2}
    one = lab.train_alone(lab.plan(**settings), "turns, alone")
    two, _ = lab.train(lab.plan(**settings, gpus=2), "turns, together")
    assert [row["network"] for row in rows(two)] == ["x", "y", "y", "x", "y"]
    for alone, together in zip(rows(one), rows(two), strict=True):
        assert float(together["loss"]) == pytest.approx(float(alone["loss"]), rel=1e-5, abs=2e-6)
    ours, theirs = load_file(two.weights), load_file(one.weights)
    for key, values in theirs.items():
        assert torch.allclose(ours[key].double(), values.double(), rtol=1e-3, atol=1e-4), key


def test_two_processes_change_gradients_as_one_does(lab: Toy) -> None:
    """Modulated by scores over all groups, with noise that is the same in both."""
    streams = ["rgb", "flow"]
    net = {"architecture": "weighted_fusion", "streams": streams, "backbones": dict.fromkeys(streams, "resnet_tiny")}
    settings = {
        "networks": {"net": {**net, "init": "random", "dropout": 0}},
        "objective": {"kind": "ogm_ge", "alpha": 0.5},
        "batch_size": 6,
        "micro_batch_size": 2,
        "optimizer": {"learning_rate": 3e-4},
    }
    stage = toy.plan(lab.dataset, {"fused": settings})["fused"]
    one, (two, _) = lab.train_alone(stage, "modulated, alone"), lab.train(stage, "modulated, together")
    for alone, together in zip(rows(one), rows(two), strict=True):
        assert float(together["loss"]) == pytest.approx(float(alone["loss"]), rel=1e-5, abs=2e-6)
    ours, theirs = load_file(two.weights), load_file(one.weights)
    for key, values in theirs.items():
        assert torch.allclose(ours[key].double(), values.double(), rtol=1e-3, atol=1e-4), key


@pytest.fixture(scope="module")
def long_run(lab: Toy) -> tuple[Stage, StageFiles]:
    stage = lab.plan(gpus=2, epochs=6)
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
    process = lab.start(stage, where, python=sys.executable)  # whose children are its own
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


@pytest.mark.parametrize(
    ("settings", "processes", "complaint"),
    [
        ({}, 6, r"6 processes cannot share 1 group\(s\) of 5 clips"),
        ({"batch_size": 4, "micro_batch_size": 2}, 3, r"3 processes cannot share 2 group\(s\) of 2 clips"),
    ],
)
def test_processes_that_cannot_share_a_step_are_refused(
    lab: Toy, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], processes: int, complaint: str
) -> None:
    told = Processes(0, processes)
    with monkeypatch.context() as patch:
        patch.setattr("mml_core.training.job.Trainer", functools.partial(_with_processes, told))
        with pytest.raises(InputError, match=complaint) as caught:
            lab.train_alone(lab.plan(**settings), "refused")
    assert "choose gpus up to the groups of a step" in str(caught.value)


def _with_processes(told: Processes, *arguments: Any, processes: Processes, **named: Any) -> Trainer:
    assert processes is ALONE
    return Trainer(*arguments, processes=told, **named)


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
    assert ALONE.together(network) is network
    assert ALONE.peers(1) is None


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm2d, (6, 3, 5, 4)), (nn.BatchNorm3d, (4, 3, 2, 5, 4))])
def test_batch_norm_over_processes_is_torch_s_own(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    theirs = nn.Sequential(kind(3), nn.ReLU()).double()
    nn.init.normal_(theirs[0].weight)
    nn.init.normal_(theirs[0].bias)
    ours = nn.Sequential(kind(3), nn.ReLU()).double()
    ours.load_state_dict(theirs.state_dict())
    parameters = dict(ours.named_parameters())
    replaced = group_batch_norm(ours, dist.group.WORLD)
    assert [type(module) for module in ours] == [GroupBatchNorm, nn.ReLU]
    assert all(parameters[name] is value for name, value in ours.named_parameters()), "an optimizer holds these"
    for _ in range(2):
        x = (torch.randn(shape, dtype=torch.float64) * 3 + 1).requires_grad_()
        y = x.detach().clone().requires_grad_()
        weight = torch.randn(shape, dtype=torch.float64)
        (theirs(x) * weight).sum().backward()
        (ours(y) * weight).sum().backward()
        for module in replaced:
            module.gather(1.0)
        settle(replaced, Processes(0, 1))
        assert torch.allclose(x.grad, y.grad)
    for one, two in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad)
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for key, values in theirs.state_dict().items():
        assert torch.allclose(ours.state_dict()[key], values), key
    x = torch.randn(shape, dtype=torch.float64)
    assert torch.allclose(theirs.eval()(x), ours.eval()(x))
