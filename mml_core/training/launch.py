"""Starting the processes that train one stage together: torch's elastic agent, which is what `torchrun` runs.

One agent per machine starts a process per GPU; on several machines, those of a job of Slurm, `srun` starts the agents.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from mml_core.errors import InputError
from mml_core.runtime.cli import EXIT_STOPPED, Stopped

#: Seconds that processes have to save their state after SIGTERM; a scheduler's own patience should be longer.
_SECONDS_TO_SAVE = 100
#: Seconds after which Slurm ends all machines' processes where those of one have ended.
_SECONDS_TO_FOLLOW = 120


@dataclass(frozen=True)
class Machine:
    """This machine among `count` that train a stage together: its `number` from 0, and where the first one listens."""

    number: int
    count: int
    meeting_point: str


def launch(script: Path, arguments: Sequence[str], processes: int, machine: Machine | None = None) -> None:
    """Run `script` with `arguments` in `processes` processes of this machine and wait for all of them.

    With `machine`, they are part of one group with those that the other machines start. SIGTERM and SIGINT are handed
    on to them. Raises Stopped where they stopped on request, after saving their state; ends this process with status 1
    where one of them failed, which has told why.
    """
    # those before torch 2.10 or so do not know it, and wait for 30 seconds
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_SECONDS_TO_SAVE))
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    count = machine.count if machine else 1
    try:
        with tempfile.TemporaryDirectory(prefix="mml-launch-") as folder:  # torch would leave one behind
            config = LaunchConfig(
                min_nodes=count,
                max_nodes=count,
                nproc_per_node=processes,
                max_restarts=0,  # snakemake tries again, from the saved state
                logs_specs=DefaultLogsSpecs(log_dir=folder),
                **_rendezvous(machine),
            )
            elastic_launch(config, sys.executable)("-u", str(script), *arguments)
    except SignalException as signalled:
        raise Stopped(f"{signalled.sigval.name}, handed on to {processes} processes") from None
    except ChildFailedError as failed:
        codes = {rank: failure.exitcode for rank, failure in failed.failures.items()}
        if EXIT_STOPPED in codes.values() and set(codes.values()) <= {EXIT_STOPPED, -signal.SIGTERM}:
            raise Stopped(f"all {processes} processes were asked to") from None
        told = ", ".join(f"{rank}: {code}" for rank, code in sorted(codes.items()))
        print(f"processes that failed, with their exit status: {told}", file=sys.stderr, flush=True)
        sys.exit(1)


def _rendezvous(machine: Machine | None) -> dict[str, object]:
    """Return how the agents find each other, as arguments of torch's LaunchConfig."""
    if machine is None:
        return {
            "run_id": uuid.uuid4().hex,
            "rdzv_backend": "c10d",
            "rdzv_endpoint": "localhost:0",
            "local_addr": "localhost",
        }
    return {
        "run_id": machine.meeting_point,
        "rdzv_backend": "static",
        "rdzv_endpoint": machine.meeting_point,
        "rdzv_configs": {"rank": machine.number},
    }


def nodes_of_job(nodes: int) -> int:
    """Return `nodes` inside of a job of Slurm, and 1 elsewhere: nothing else can start processes on other machines."""
    if nodes == 1 or ("SLURM_JOB_ID" in os.environ and shutil.which("srun")):
        return nodes
    print(f"its {nodes} nodes count in jobs of Slurm only: training on this machine", flush=True)
    return 1


def processes_per_node(processes: int, nodes: int) -> int:
    """Return how many of `processes` each machine starts. Raises InputError where that is not the same for all."""
    if processes % nodes:
        raise InputError(
            f"{processes} GPU(s) cannot be shared out evenly over {nodes} nodes",
            hint="--resources gpu= lowered the stage's own number? Correct that, or gpus and nodes of the stage",
        )
    return processes // nodes


def launch_on_nodes(script: Path, arguments: Sequence[str], nodes: int, threads: int) -> None:
    """Run `script` once on each of the `nodes` machines of this job of Slurm, with `threads` processors, and wait.

    Each is told `--meeting-point`, an address of this machine, which is the first of them, and knows its number from
    `SLURM_PROCID`. Signals are handed on; otherwise it ends as `launch` does.
    """
    with socket.socket() as probe:  # free now, and hardly taken by another before the first agent listens there
        probe.bind(("", 0))
        meeting_point = f"{socket.gethostname()}:{probe.getsockname()[1]}"
    print(f"starting processes on {nodes} nodes, which meet at {meeting_point}", flush=True)
    command = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={threads}"]
    command += ["--cpu-bind=none", "--kill-on-bad-exit=0", f"--wait={_SECONDS_TO_FOLLOW}"]
    command += [sys.executable, "-u", str(script), *arguments, "--meeting-point", meeting_point]
    process = subprocess.Popen(command)
    asked = False

    def hand_on(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        process.terminate()

    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, hand_on) for number in numbers}
    try:
        status = process.wait()
    finally:
        for number in numbers:
            signal.signal(number, previous[number])
    if status and (asked or status in (EXIT_STOPPED, -signal.SIGTERM)):
        raise Stopped(f"the processes of all {nodes} nodes were asked to")
    if status:
        print(f"srun ended with status {status}: see above", file=sys.stderr, flush=True)
        sys.exit(1)
