"""The workflow on a real Slurm: GPUs are shared out; jobs that are cancelled, timed out or requeued lose nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from checkouts import DATASET, PROJECT, Checkout, read_rows, separate_stages
from slurm_loopback import LoopbackSlurm, why_not
from video_files import make_videos

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(why_not() is not None, reason=f"no Slurm: {why_not()}"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="its GPUs are made up, and torch must find none"),
    pytest.mark.timeout(1800),
]

#: What differs from a cluster: no accounting. The GPUs are made up, so that torch finds none and jobs go on without.
PROFILE = (
    "--profile",
    "profiles/slurm",
    "--slurm-status-command",
    "squeue",
    "--slurm-no-account",
    "--latency-wait",
    "20",
)
PROFILE += ("--slurm-init-seconds-before-status-checks", "1")

ASKING_OFTEN = str(Path(__file__).parent / "helpers/asking_often.py")


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSlurm]:
    with LoopbackSlurm(tmp_path_factory.mktemp("slurm")) as slurm:
        yield slurm


@pytest.fixture
def slurm(one_node: LoopbackSlurm) -> Iterator[LoopbackSlurm]:
    """A Slurm that a test which failed leaves to the next one without jobs and with its node in service."""
    yield one_node
    one_node.clear()


@pytest.fixture
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSlurm]:
    with LoopbackSlurm(tmp_path_factory.mktemp("slurm"), nodes=2) as slurm:
        yield slurm


@pytest.fixture(scope="module")
def with_data(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with its shards."""
    checkout = Checkout.create(tmp_path_factory.mktemp("data") / "checkout")
    make_videos(checkout.root / "videos")
    checkout.dataset({**DATASET, "modalities": {"rgb": DATASET["modalities"]["rgb"]}})
    checkout.configure(recipe=["one"])
    checkout.recipe("one", separate_stages(1, ["ce_a"], {}))
    checkout.run("--", "results/data_quality.csv")
    return checkout


class Run:
    """Stages under way on Slurm, and the same ones trained undisturbed on this machine."""

    def __init__(
        self,
        with_data: Checkout,
        folder: Path,
        slurm: LoopbackSlurm,
        epochs: int,
        *arguments: str,
        names: Sequence[str] = ("ce_a", "ce_b"),
        **settings: int,
    ) -> None:
        self.slurm, self.names = slurm, names
        with_data.recipe("one", separate_stages(epochs, names, settings))
        self.alone, self.checkout = with_data.copy(folder / "alone"), with_data.copy(folder / "slurm")
        self.targets = re.findall(r"output: (\S+weights\.safetensors),", self.alone.run("-n"))
        threads = ("--cores", "16", "--set-threads", "train_stage=1")
        self.process = self.checkout.start(
            *threads, *arguments, *PROFILE, "--", *self.targets, program=[ASKING_OFTEN], **slurm.environment
        )

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
        """Whether all trainings run and have saved their state at least once."""
        states = list(self.checkout.root.glob("results/tiny/unfinished/*/state.safetensors"))
        return len(self.trainings("RUNNING")) == len(states) == len(self.names)

    def log(self) -> str:
        """Return what the trainings said."""
        return "".join(path.read_text() for path in self.checkout.root.glob("logs/tiny/stages/*.log"))

    def finish(self) -> str:
        """Wait for the end and compare with what is trained undisturbed meanwhile."""
        self.alone.run("--set-threads", "train_stage=1", "--", *self.targets)
        output = self.process.communicate(timeout=900)[0]
        assert self.process.returncode == 0, output
        for name in self.names:
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
    assert re.search(r"going on at epoch \d+", run.log())


@pytest.mark.stress
def test_a_stage_over_two_nodes_that_is_cancelled_goes_on(
    with_data: Checkout, two_nodes: LoopbackSlurm, tmp_path: Path, in_full: bool
) -> None:
    run = Run(with_data, tmp_path, two_nodes, 100 if in_full else 30, names=["ce_a"], gpus=2, nodes=2)
    run.wait(run.under_way)
    (job,) = run.trainings("RUNNING")
    known = two_nodes.run("scontrol", "--details", "show", "job", job)
    assert re.search(r"Nodes=node\[1-2\] .*GRES=gpu:1\(", known), "one GPU of each node: " + known
    two_nodes.run("scancel", job)
    run.finish()  # with the bits of two processes on this machine
    assert two_nodes.jobs()[job][0] == "CANCELLED"
    assert re.search(r"starting processes on 2 nodes, which meet at \S+:\d+", run.log())
    assert re.search(r"going on at epoch \d+", run.log())


@pytest.mark.stress
def test_a_training_that_hits_its_time_limit_goes_on(
    with_data: Checkout, slurm: LoopbackSlurm, tmp_path: Path, in_full: bool
) -> None:
    if not in_full:
        pytest.skip("takes minutes, since Slurm's shortest limit is one: make stress")
    # Slurm counts in minutes, and may send the signal up to one of them too early
    limit = ("--set-resources", "train_stage:runtime=2", "train_stage:slurm_extra='--signal=TERM@20'", "--retries", "9")
    run = Run(with_data, tmp_path, slurm, 1200, *limit)
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
    (node,) = slurm.nodes
    if cause == "requeue":  # as preemption does
        slurm.run("scontrol", "requeue", jobs[0])
    else:
        slurm.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        run.wait(lambda: not run.trainings("RUNNING") and not slurm.has_steps())
        slurm.run("scontrol", "update", f"nodename={node}", "state=resume")
    # a job that was requeued waits for two minutes, unless it is told that it may start
    run.wait(lambda: run.trainings("PENDING") != [])
    slurm.run("scontrol", "update", f"jobid={jobs[0]}", "starttime=now", check=False)
    run.finish()
    restarts = [int(re.search(r"Restarts=(\d+)", slurm.run("scontrol", "show", "job", job))[1]) for job in jobs]
    assert sum(restarts) >= 1, "Slurm did not start a job again"


@pytest.mark.stress
@pytest.mark.timeout(5400)
def test_the_whole_demo_runs_on_slurm(slurm: LoopbackSlurm, tmp_path: Path, in_full: bool) -> None:
    if not in_full:
        pytest.skip("a quarter of an hour: make stress")
    root = tmp_path / "demo"
    root.mkdir()
    for part in ("Snakefile", "rules", "workflow", "mml_core", "config", "profiles", "envs"):
        source = PROJECT / part
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, root / part, ignore=ignore) if source.is_dir() else shutil.copy2(source, root)
    chosen = ("--config", "dataset=demo", "recipe=[mml_single_demo, mml_ensemble_demo]")
    threads = (
        "--set-threads",
        "train_stage=1",
        "score_stage=1",
        "make_derived_shard=1",
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
