"""Which GPU a process may use: what the scheduler assigned, or else a lease on one that no other process holds.

Snakemake counts GPUs (`resources: gpu=1`) but assigns none, so two local jobs would share the first. A lease is a lock
on a file per device: it goes with the process, however that ends, and more jobs than devices wait instead of failing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mml_core.errors import InputError
from mml_core.io.files import NO_LOCKS

#: Job id variables of schedulers that assign devices to a job themselves.
_SCHEDULER_JOB_IDS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
#: With this status `nvidia-smi` ends where a GPU "has fallen off the bus or has otherwise become inaccessible".
_GPU_IS_LOST = 15


def gpu_identifiers() -> list[str]:
    """Return the UUIDs of the machine's NVIDIA GPUs; none where the driver's `nvidia-smi` is missing or finds none.

    Raises InputError where it tells of a GPU that is lost: whoever counts on that one must not go on without it unseen.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=uuid", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    if result.returncode == _GPU_IS_LOST:
        raise InputError(
            f"nvidia-smi: {(result.stdout + result.stderr).strip()}",
            hint="restart the machine, or go on without this GPU: `device: cpu` in config/config.yaml",
        )
    return [line.strip() for line in result.stdout.splitlines() if line.strip()] if result.returncode == 0 else []


def lease_folder() -> Path:
    """Return the folder of this user's lock files, created where it is missing."""
    folder = Path(tempfile.gettempdir()) / f"mml-gpu-leases-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def lease_gpus(count: int, poll_sec: float = 2.0) -> Iterator[list[str]]:
    """Hold `count` GPUs for the duration of the block and set `CUDA_VISIBLE_DEVICES` to them.

    Devices are chosen among those that `CUDA_VISIBLE_DEVICES` already names, or all of the machine where it is not
    set. Where a scheduler gave the job no more than it asked for, they are taken as they are. Yields identifiers, none
    on a machine without GPUs. Must be entered before CUDA is initialised. Raises InputError where `count` is none, or
    more than there are.
    """
    if count < 1:
        raise InputError(f"{count} GPUs asked for", hint="`--device cpu` is how a job computes without one")
    assigned = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = gpu_identifiers() if assigned is None else [name for name in assigned.split(",") if name]
    job = next((os.environ[name] for name in _SCHEDULER_JOB_IDS if name in os.environ), None)
    if not devices or (job is not None and len(devices) <= count):
        yield devices
        return
    if count > len(devices):
        raise InputError(f"{count} GPUs asked for, {len(devices)} are visible", hint="ask for fewer GPUs a job")
    locks = _acquire(devices, count, poll_sec, prefix=job or "local")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(locks)
    try:
        yield list(locks)
    finally:
        if assigned is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = assigned
        for lock in locks.values():
            lock.close()


def _acquire(devices: Sequence[str], count: int, poll_sec: float, prefix: str) -> dict[str, IO[bytes]]:
    """Return `count` locked devices with their lock files; waits, holding none, until so many are free at once.

    Inside a scheduler's job devices are numbered per job, so that the job's id (`prefix`) is part of the lock's name.
    """
    announced = False
    while True:
        held: dict[str, IO[bytes]] = {}
        for device in devices:
            lock = (lease_folder() / f"{prefix}-{device}.lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            except OSError as error:
                lock.close()
                if error.errno not in NO_LOCKS:
                    raise
                raise InputError(
                    f"this file system has no locks ({error.strerror}), so that two jobs could use one GPU",
                    file=lock.name,
                    hint="set TMPDIR to a folder on a local disk; or give each job its GPU by CUDA_VISIBLE_DEVICES",
                ) from error
            held[device] = lock
            if len(held) == count:
                return held
        for lock in held.values():
            lock.close()
        if not announced:
            print(f"waiting for {count} of {len(devices)} GPUs to become free", file=sys.stderr, flush=True)
            announced = True
        time.sleep(poll_sec)
