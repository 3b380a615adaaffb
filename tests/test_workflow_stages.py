"""Stages of the workflow side by side, killed and made anew."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkouts import RECIPES, RGB, STAGE, Checkout, read_rows, wait_for
from safetensors.torch import load_file

pytestmark = pytest.mark.workflow

TABLE = "results/ensemble_table.csv"


def same_weights(first: Path, second: Path) -> bool:
    one, two = load_file(first / "weights.safetensors"), load_file(second / "weights.safetensors")
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_removed_weights_come_back_the_same(finished: Checkout, _finished: Checkout) -> None:
    folder = finished.stage("ce_b")
    (folder / "weights.safetensors").unlink()
    assert finished.planned() == [], "nothing that is asked for is missing"
    output = finished.run("--", str((folder / "weights.safetensors").relative_to(finished.root)))
    assert "1 of 1 steps (100%) done" in output
    assert (folder / "weights.safetensors").read_bytes() == (
        _finished.stage("ce_b") / "weights.safetensors"
    ).read_bytes()
    assert finished.planned() == ["combined_report", "recipe_report"], "for the seconds in the history; no descendant"


@pytest.fixture
def slow(_finished: Checkout, tmp_path: Path) -> Checkout:
    """A checkout with shards, whose recipe has one stage of many steps."""
    checkout = _finished.copy(tmp_path / "slow")
    stage = {"networks": {"rgb": RGB}, "epochs": 20, "validate_every": 20}
    recipe = {**RECIPES["two"], "stages": {"ce_a": stage}}
    checkout.configure(recipe=["two"])
    checkout.recipe("two", recipe)
    for folder in ("results/tiny/stages", "results/tiny/scores", "logs"):
        shutil.rmtree(checkout.root / folder)
    return checkout


def training_process(checkout: Checkout) -> int | None:
    """Return the process that trains in `checkout`, if there is one."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "cwd").readlink() == checkout.root:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if any(word.endswith(b"/train_stage.py") for word in words) and b"--document" in words:
                    return int(folder.name)
        except OSError:  # it ended in the meantime
            continue
    return None


def state_exists(checkout: Checkout) -> bool:
    return bool(list((checkout.root / "results/tiny/unfinished").glob("ce_a-*/state.safetensors")))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks processes up in /proc")
@pytest.mark.stress
@pytest.mark.parametrize("victim", ["training", "snakemake"])
def test_kill_9_is_survived_with_the_same_bits(slow: Checkout, tmp_path: Path, victim: str, in_full: bool) -> None:
    if victim == "training" and not in_full:
        pytest.skip("also killed by test_training_engine.py and test_slurm.py: make stress")
    undisturbed = slow.copy(tmp_path / "undisturbed")
    undisturbed.run("--", TABLE)
    process = slow.start("--", TABLE)
    wait_for(lambda: state_exists(slow), process)
    trainer = training_process(slow)
    assert trainer is not None
    os.kill(trainer if victim == "training" else process.pid, signal.SIGKILL)
    output = process.communicate()[0]
    assert process.returncode != 0
    if victim == "training":
        assert "rule train_stage" in output
    else:
        wait_for_end(trainer)
        slow.run("--unlock")
    assert not list(slow.root.glob("results/tiny/stages/*/weights.safetensors"))
    slow.run("--", TABLE)
    assert "going on at epoch" in slow.one("logs/tiny/stages/ce_a-*.log").read_text()
    assert same_weights(slow.stage("ce_a"), undisturbed.stage("ce_a"))
    assert read_rows(slow.root / TABLE) == read_rows(undisturbed.root / TABLE)


def wait_for_end(process: int, seconds: float = 60.0) -> None:
    """Wait until a process that is not our child has ended: it must not outlive the snakemake that started it."""
    command = ["tail", f"--pid={process}", "-f", "/dev/null"]
    subprocess.run(command, timeout=seconds, check=True)


@pytest.fixture
def two_gpus(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a stand-in for nvidia-smi that tells of two GPUs (torch still finds none)."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\n'\n")
    program.chmod(0o755)
    leases = tmp_path / "leases"
    leases.mkdir()
    path = f"{Path(sys.executable).parent}:{program.parent}:{os.environ['PATH']}"
    yield {"PATH": path, "TMPDIR": str(leases)}


def test_a_run_that_may_use_no_gpu_trains_and_scores_on_the_processor(
    _finished: Checkout, tmp_path: Path, two_gpus: dict[str, str]
) -> None:
    checkout = _finished.copy(tmp_path / "none")
    two = RECIPES["two"]
    checkout.recipe("two", {**two, "stages": {"ce_x": {"networks": {"rgb": RGB}, "seed": 10, "gpus": 2}}})
    checkout.configure(recipe=["two"])
    checkout.run("--resources", "gpu=0", "--", TABLE, **two_gpus)
    assert read_rows(checkout.root / TABLE)
    logs = [checkout.one("logs/tiny/stages/ce_x-*.log"), checkout.one("logs/tiny/scores/ce_x-*/*.log")]
    assert "GPU" not in "".join(log.read_text() for log in logs)
    assert checkout.planned("--resources", "gpu=2", "--", TABLE) == [], "what is there is not made anew on GPUs"
    checkout.configure(recipe=["two"], device="cuda")
    assert checkout.planned("--", TABLE) == []
    weights = checkout.stage("ce_x") / "weights.safetensors"
    weights.unlink()
    target = str(weights.relative_to(checkout.root))
    output = checkout.run("-n", "--resources", "gpu=0", "--", target, expect=1)
    assert "device: cuda in config/config.yaml needs a GPU, and this run may use none" in output


def test_jobs_ask_for_gpus_only_where_they_may_compute_on_them(finished: Checkout) -> None:
    stages = RECIPES["one"]["stages"]
    finished.recipe("one", {**RECIPES["one"], "stages": {**stages, "last": {**stages["last"], "gpus": 4, "nodes": 2}}})
    assert finished.planned() == []

    def asked(*arguments: str) -> tuple[set[str], set[str], set[str], set[str]]:
        said = finished.run("-n", "-p", "--forceall", *arguments)
        devices, processes = re.findall(r"--device (\w+)", said), re.findall(r"--processes (\w+)", said)
        return (
            set(devices),
            set(processes),
            set(re.findall(r"\bgpu=(\d)", said)),
            set(re.findall(r"\bnodes=(\d)", said)),
        )

    assert asked() == ({"auto"}, {"1", "4"}, {"1", "4"}, {"1", "2"})
    assert asked("--resources", "gpu=2") == ({"auto"}, {"1", "2"}, {"1", "2"}, {"1", "2"})
    assert asked("--resources", "gpu=0") == ({"cpu"}, {"1"}, {"0"}, {"1"})
    assert finished.planned("--resources", "gpu=0") == []
    finished.configure(recipe=["one", "two"], device="cpu")
    assert asked() == ({"cpu"}, {"1"}, set(), {"1"})
    assert finished.planned() == []


def test_a_stage_asks_for_threads_by_the_gpu(finished: Checkout) -> None:
    """Four GPUs got fewer processes that load clips than one: eight threads of a stage were shared by all of them."""
    stages = RECIPES["one"]["stages"]
    finished.recipe("one", {**RECIPES["one"], "stages": {**stages, "last": {**stages["last"], "gpus": 4, "nodes": 2}}})
    said = finished.run("-n", "-p", "--forceall", "--cores", "64")
    assert sorted(re.findall(r"--threads (\d+) +--processes (\d)", said)) == [("16", "4"), *[("8", "1")] * 2]


def test_two_gpu_stages_at_once_get_two_gpus(_finished: Checkout, tmp_path: Path, two_gpus: dict[str, str]) -> None:
    checkout = _finished.copy(tmp_path / "gpus")
    stage = {**STAGE, "epochs": 10}
    stages = {f"ce_{name}": {"networks": {"rgb": RGB}, "seed": seed} for seed, name in enumerate("xy", start=10)}
    checkout.recipe(
        "two", {**RECIPES["two"], "defaults": {**RECIPES["two"]["defaults"], "stage": stage}, "stages": stages}
    )
    checkout.configure(recipe=["two"])
    checkout.run("--resources", "gpu=2", "--set-threads", "train_stage=1", "--", TABLE, **two_gpus)
    used = [checkout.one(f"logs/tiny/stages/ce_{name}-*.log").read_text().splitlines()[0] for name in "xy"]
    assert sorted(used) == ["using GPU GPU-a", "using GPU GPU-b"]
