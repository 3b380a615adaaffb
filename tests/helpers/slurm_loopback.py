"""A real Slurm on this machine alone, for tests: its daemons on loopback, with a made-up number of processors and GPUs.

    python tests/slurm_loopback.py start FOLDER [--nodes 2]     start it; prints what to put into the environment
    python tests/slurm_loopback.py stop FOLDER                  stop it, with all of its jobs

Needs Debian's packages slurm-wlm and munge (Slurm 22.05 or later) and root, since daemons start jobs as their users.
All of its files are below FOLDER; a Slurm that the machine is part of is left alone. GPUs are devices that do
nothing: Slurm counts them, assigns them and sets CUDA_VISIBLE_DEVICES as it does with real ones.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
PROGRAMS = ("munged", "slurmctld", "slurmd", *COMMANDS)
#: Characters of the path of a socket, without the zero at its end (man 7 unix).
_LONGEST_SOCKET = 107
CPUS, MEMORY_MB, GPUS = 16, 400_000, 2


def why_not() -> str | None:
    """Return why no Slurm can be started here, or None."""
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        return f"no {', '.join(missing)}: install slurm-wlm and munge"
    return None if os.geteuid() == 0 else "Slurm's daemons need root"


class LoopbackSlurm:
    """A Slurm as a context manager; `environment` is what its commands need.

    Its nodes are daemons on this machine, each with processors, memory and GPUs of its own so far as Slurm knows.
    """

    def __init__(self, folder: Path, nodes: int = 1) -> None:
        self.folder = folder.absolute()
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        # These find their Slurm by themselves: Snakemake's executor takes SLURM_CONF from its jobs' environment.
        commands = self.folder / "bin"
        self.environment = {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{commands}:{os.environ.get('PATH', '')}",
        }

    def __enter__(self) -> LoopbackSlurm:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, seconds: float = 60.0) -> None:
        """Start the daemons and wait until all nodes take jobs."""
        if len(str(self.folder / f"spool-{self.nodes[-1]}/{self.nodes[-1]}_1234567.1234567890")) > _LONGEST_SOCKET:
            raise ValueError(f"{self.folder}: too long a path for Slurm's sockets")
        for name in ("state", "run", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name in COMMANDS:
            path = self.folder / "bin" / name
            path.write_text(f"#!/bin/sh\nSLURM_CONF='{self.folder}/slurm.conf' exec {_program(name)} \"$@\"\n")
            path.chmod(0o755)
        self.folder.chmod(0o755)
        self._write_configuration()
        self._daemon(
            "munged",
            f"--key-file={self._path('munge.key')}",
            f"--socket={self._path('run/munge.socket')}",
            f"--pid-file={self._path('run/munged.pid')}",
            f"--log-file={self._path('munged.log')}",
            f"--seed-file={self._path('munge.seed')}",
            "--force",
        )
        self._daemon("slurmctld", "-c")
        for node in self.nodes:
            (self.folder / f"spool-{node}").mkdir(exist_ok=True)
            self._daemon("slurmd", "-c", "-N", node)
        end = time.monotonic() + seconds
        while self.run("sinfo", "--noheader", "--format=%T %D", check=False) != f"idle {len(self.nodes)}":
            if time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"Slurm did not start: see {self.folder}/*.log\n{self._logs()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        with suppress(OSError, subprocess.SubprocessError):
            self.run("scancel", "--user=root", "--signal=KILL", "--full", check=False)
        for path in sorted(self.folder.glob("run/*.pid"), reverse=True):  # slurmd of all nodes, slurmctld, munged
            with suppress(OSError, ValueError):
                pid = int(path.read_text())
                os.kill(pid, signal.SIGTERM)
                _wait_for_end(pid)

    def run(self, *command: str, check: bool = True) -> str:
        """Run one of Slurm's commands and return what it prints."""
        result = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=check, timeout=60
        )
        return result.stdout.strip()

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Return the state and the comment, which has rule and wildcards, of all jobs that Slurm knows, by id."""
        listing = self.run("squeue", "--all", "--states=all", "--noheader", "--format=%i|%T|%k")
        rows = [line.split("|", 2) for line in listing.splitlines() if line]
        return {row[0]: (row[1], row[2]) for row in rows}

    def has_steps(self) -> bool:
        """Return whether any job has processes, also one that Slurm has given up already: each step has its socket."""
        return any(path.is_socket() for path in self.folder.glob("spool-*/*"))

    def clear(self, seconds: float = 60.0) -> None:
        """Cancel all jobs, wait until they are gone, and put nodes that were drained or down into service."""
        self.run("scancel", "--user=root", check=False)
        end = time.monotonic() + seconds
        while self.has_steps() and time.monotonic() < end:
            time.sleep(0.2)
        for node in self.run("sinfo", "--Node", "--noheader", "--states=drain,down", "--format=%N").split():
            self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def _path(self, name: str) -> Path:
        return self.folder / name

    def _daemon(self, name: str, *arguments: str) -> None:
        environment = {**os.environ, **self.environment}
        program = _program(name)
        subprocess.run([program, *arguments], env=environment, check=True, timeout=60, capture_output=True)

    def _logs(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log")))

    def _write_configuration(self) -> None:
        host = socket.gethostname().split(".")[0]
        self._path("munge.key").write_bytes(secrets.token_bytes(1024))
        self._path("munge.key").chmod(0o400)
        devices = [self._path(f"gpu{number}") for number in range(GPUS)]
        for device in devices:
            with suppress(FileExistsError):
                os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # as /dev/null: Slurm wants a device
        lines = [f"Name=gpu File={device} Flags=nvidia_gpu_env\n" for device in devices]
        self._path("gres.conf").write_text("".join(lines))
        settings = {
            "ClusterName": "loopback",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": _free_port(),
            "SlurmUser": "root",
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self._path('run/munge.socket')}",
            "CredType": "cred/munge",
            "StateSaveLocation": self._path("state"),
            "SlurmdSpoolDir": self._path("spool-%n"),
            "SlurmctldPidFile": self._path("run/slurmctld.pid"),
            "SlurmdPidFile": self._path("run/slurmd-%n.pid"),
            "SlurmctldLogFile": self._path("slurmctld.log"),
            "SlurmdLogFile": self._path("slurmd-%n.log"),
            # without control groups, which a container does not let one make
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "MpiDefault": "none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core_Memory",
            "SlurmdParameters": "config_overrides",
            "GresTypes": "gpu",
            "JobRequeue": 1,
            "KillWait": 20,
            "MinJobAge": 3600,
            "ReturnToService": 2,
            "SchedulerParameters": "sched_interval=1,batch_sched_delay=0,sched_min_interval=100000",
        }
        lines = [f"{key}={value}\n" for key, value in settings.items()]
        has = f"CPUs={CPUS} RealMemory={MEMORY_MB} Gres=gpu:{GPUS} State=UNKNOWN"
        for node in self.nodes:
            lines.append(f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={_free_port()} {has}\n")
        lines.append("PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=500 State=UP\n")
        self._path("slurm.conf").write_text("".join(lines))


def _program(name: str) -> str | None:
    """Return the path of a program; daemons are where root has them."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_end(pid: int, seconds: float = 15.0) -> None:
    """Wait until a process that is no child of ours is gone; kill it after a while."""
    end = time.monotonic() + seconds
    with suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Start or stop a Slurm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", type=int, default=1, help="nodes, all of them this machine")
    arguments = parser.parse_args()
    if reason := why_not():
        parser.exit(1, f"{reason}\n")
    slurm = LoopbackSlurm(arguments.folder, arguments.nodes)
    if arguments.action == "stop":
        slurm.stop()
        return
    slurm.start()
    print("".join(f"export {name}={value}\n" for name, value in slurm.environment.items()), end="")


if __name__ == "__main__":
    main()
