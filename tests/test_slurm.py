"""The workflow on a real Slurm: GPUs are shared out; jobs that are cancelled, timed out or requeued lose nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkouts import DATASET, PROJECT, RGB, STAGE, Checkout, read_rows
from slurm_loopback import LoopbackSlurm, why_not
from test_workflow import make_videos

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(why_not() is not None, reason=f"no Slurm: {why_not()}"),
    pytest.mark.timeout(1800),
]

#: What differs from a cluster: no accounting, and a processor instead of a GPU to compute with.
PROFILE = (
    "--profile",
    "profiles/slurm",
    "--slurm-status-command",
    "squeue",
    "--slurm-no-account",
    "--latency-wait",
    "20",
)
PROFILE += ("--slurm-init-seconds-before-status-checks", "1", "--config", "device=cpu")


def recipe(epochs: int) -> dict[str, object]:
    """Two stages, of which each waits for nothing but data."""
    stages = {name: {"networks": {"rgb": RGB}, "seed": seed} for seed, name in enumerate(("ce_a", "ce_b"))}
    return {
        "defaults": {
            "network": {"backbone": "resnet_tiny"},
            "stage": {**STAGE, "epochs": epochs, "validate_every": epochs},
        },
        "stages": stages,
        "tables": {"ensemble_table": {"protocol": "one_view"}},
    }


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSlurm]:
    with LoopbackSlurm(tmp_path_factory.mktemp("slurm")) as slurm:
        yield slurm


@pytest.fixture(scope="module")
def with_data(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with its shards."""
    checkout = Checkout.create(tmp_path_factory.mktemp("data") / "checkout")
    make_videos(checkout.root / "videos")
    checkout.dataset({**DATASET, "modalities": {"rgb": DATASET["modalities"]["rgb"]}})
    checkout.configure(recipe=["one"])
    checkout.recipe("one", recipe(1))
    checkout.run("--config", "device=cpu", "--", "results/data_quality.csv")
    return checkout


class Run:
    """Two stages under way on Slurm, beside the same ones trained undisturbed on this machine."""

    def __init__(self, with_data: Checkout, folder: Path, slurm: LoopbackSlurm, epochs: int, *arguments: str) -> None:
        self.slurm = slurm
        with_data.recipe("one", recipe(epochs))
        self.alone, self.checkout = with_data.copy(folder / "alone"), with_data.copy(folder / "slurm")
        targets = re.findall(r"output: (\S+weights\.safetensors),", self.alone.run("-n", "--config", "device=cpu"))
        self.alone.run("--set-threads", "train_stage=1", "--config", "device=cpu", "--", *targets)
        threads = ("--cores", "16", "--set-threads", "train_stage=1")
        self.process = self.checkout.start(*threads, *arguments, *PROFILE, "--", *targets, **slurm.environment)

    def wait(self, condition: Callable[[], bool], seconds: float = 240.0) -> None:
        """Wait for `condition`; the test fails where snakemake ends before, or it takes too long."""
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError(f"snakemake ended before:\n{self.process.communicate()[0]}")
            if time.monotonic() > end:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise AssertionError(
                    f"waited {seconds} s in vain: {self.slurm.jobs()}\n{self.process.communicate()[0]}"
                )
            time.sleep(0.1)

    def trainings(self, state: str) -> list[str]:
        """Return the ids of the jobs of trainings in `state`, in the order of submission."""
        known = self.slurm.jobs().items()
        return sorted((job for job, (now, what) in known if now == state and "train_stage" in what), key=int)

    def under_way(self) -> bool:
        """Whether both trainings run and have saved their state at least once."""
        states = list(self.checkout.root.glob("results/tiny/unfinished/*/state.safetensors"))
        return len(self.trainings("RUNNING")) == 2 and len(states) == 2

    def finish(self) -> str:
        """Wait for the end and compare with what was trained undisturbed."""
        output = self.process.communicate(timeout=900)[0]
        assert self.process.returncode == 0, output
        for name in ("ce_a", "ce_b"):
            for file in ("weights.safetensors", "config.json"):
                assert (self.checkout.stage(name) / file).read_bytes() == (
                    self.alone.stage(name) / file
                ).read_bytes(), name
        assert not list(self.checkout.root.glob("results/tiny/unfinished/*/*"))
        return output


def gpu_indices(slurm: LoopbackSlurm, job: str) -> str:
    """Return the numbers of the GPUs that Slurm gave to a job."""
    found = re.search(r"GRES=gpu:1\(IDX:(\d+)\)", slurm.run("scontrol", "--details", "show", "job", job))
    assert found, f"job {job} has no GPU"
    return found[1]


@pytest.mark.stress
def test_two_stages_get_different_gpus_and_a_cancelled_one_goes_on(
    with_data: Checkout, slurm: LoopbackSlurm, tmp_path: Path, in_full: bool
) -> None:
    run = Run(with_data, tmp_path, slurm, 150 if in_full else 50)
    run.wait(run.under_way)
    jobs = run.trainings("RUNNING")
    assert {gpu_indices(slurm, job) for job in jobs} == {"0", "1"}
    slurm.run("scancel", jobs[0])
    run.finish()
    states = slurm.jobs()
    assert states[jobs[0]][0] == "CANCELLED"
    log = "".join(path.read_text() for path in run.checkout.root.glob("logs/tiny/stages/*.log"))
    assert re.search(r"going on at epoch \d+", log)


@pytest.mark.stress
def test_a_training_that_hits_its_time_limit_goes_on(
    with_data: Checkout, slurm: LoopbackSlurm, tmp_path: Path, in_full: bool
) -> None:
    if not in_full:
        pytest.skip("takes minutes, since Slurm's shortest limit is one: make stress")
    limit = ("--set-resources", "train_stage:runtime=1", "train_stage:slurm_extra='--signal=TERM@20'", "--retries", "6")
    run = Run(with_data, tmp_path, slurm, 1500, *limit)
    run.finish()
    stopped = [
        what for state, what in slurm.jobs().values() if state in ("TIMEOUT", "FAILED") and "train_stage" in what
    ]
    assert stopped, "no job met its limit"
    print(f"\n{len(stopped)} jobs met their time limit")


@pytest.mark.stress
@pytest.mark.parametrize("cause", ["requeue", "node down"])
def test_a_training_that_is_requeued_goes_on(
    with_data: Checkout, slurm: LoopbackSlurm, tmp_path: Path, cause: str, in_full: bool
) -> None:
    if not in_full:
        pytest.skip("a minute each: make stress")
    run = Run(with_data, tmp_path, slurm, 150)
    run.wait(run.under_way)
    jobs = run.trainings("RUNNING")
    node = slurm.run("sinfo", "--noheader", "--format=%N")
    if cause == "requeue":  # as preemption does
        slurm.run("scontrol", "requeue", jobs[0])
    else:
        slurm.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        run.wait(lambda: not run.trainings("RUNNING"))
        slurm.run("scontrol", "update", f"nodename={node}", "state=resume")
    # a job that was requeued waits for two minutes, unless it is told that it may start
    run.wait(lambda: run.trainings("PENDING") != [])
    slurm.run("scontrol", "update", f"jobid={jobs[0]}", "starttime=now", check=False)
    run.finish()
    restarts = [int(re.search(r"Restarts=(\d+)", slurm.run("scontrol", "show", "job", job))[1]) for job in jobs]
    assert sum(restarts) >= 1, "Slurm did not start a job again"


@pytest.mark.stress
def test_the_whole_demo_runs_on_slurm(slurm: LoopbackSlurm, tmp_path: Path, in_full: bool) -> None:
    if not in_full:
        pytest.skip("a quarter of an hour: make stress")
    root = tmp_path / "demo"
    root.mkdir()
    for part in ("Snakefile", "rules", "workflow", "mml_core", "config", "profiles", "envs"):
        source = PROJECT / part
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, root / part, ignore=ignore) if source.is_dir() else shutil.copy2(source, root)
    chosen = ("dataset=demo", "recipe=[mml_single_demo, mml_ensemble_demo]")
    threads = (
        "--set-threads",
        "train_stage=1",
        "score_stage=1",
        "make_flow_shard=1",
        "make_diff_shard=1",
        "make_rgb_shard=1",
    )
    command = [sys.executable, "-m", "snakemake", *threads, *PROFILE, *chosen, "--", "all"]
    paths = {**slurm.environment, "PATH": f"{Path(sys.executable).parent}:{slurm.environment['PATH']}"}
    ended = subprocess.run(command, cwd=root, env={**os.environ, **paths}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-5000:]
    rows = read_rows(root / "results/ensemble_table.csv")
    assert len(rows) == 25
    best = max(float(row["top1"]) for row in rows)
    jobs = [what for state, what in slurm.jobs().values() if state == "COMPLETED"]
    print(f"\n{len(jobs)} jobs of Slurm made a table of {len(rows)} rows, the best of {best:.2f} % top-1")
    assert best > 90
