"""Setting up a process for heavy work: device, threads, loader workers, and an end together with its parent."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mml_core.errors import InputError
from mml_core.runtime.devices import lease_gpus
from mml_core.runtime.garbage import made_to_stay
from mml_core.runtime.shared_memory import require_shared_memory

if TYPE_CHECKING:
    import torch

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Compute:
    """Where to compute, and with how many processes that load clips."""

    device: torch.device
    workers: int


@contextmanager
def prepare_compute(
    threads: int, device: Literal["auto", "cpu", "cuda"], *, gpus: int = 1, may_fall_back: bool = True
) -> Iterator[Compute]:
    """Lease `gpus` >= 1 GPUs (unless `device` is cpu or there is none), share `threads` out, and yield what to use.

    On a GPU all threads but one load clips. On a CPU the networks get the threads, and loading takes place beside
    them in one process: it needs a fraction of one core there. `cuda` raises InputError where no GPU can be used;
    so does `auto` where there is one that torch cannot use, unless the CPU `may_fall_back` in for it, with a warning.
    Processes that load need shared memory: InputError where there is none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS gives the same bits every run only with it
    if device == "cpu":
        with _hidden_gpus(), _computing(threads, device) as compute:
            yield compute
        return
    with lease_gpus(gpus) as devices, _computing(threads, device) as compute:
        if devices:
            print(f"using GPU {', '.join(devices[:gpus])}", flush=True)
        if devices and compute.device.type == "cpu":
            if not may_fall_back:
                raise InputError(
                    f"there is a GPU, {devices[0]}, and torch cannot use it: driver, or a build without CUDA?",
                    hint="see nvidia-smi; `device: cpu` in config/config.yaml goes on without it",
                )
            print(
                "WARNING: torch cannot use this GPU (driver, or a build without CUDA?): computing on the CPU",
                flush=True,
            )
        yield compute


@contextmanager
def prepare_process(
    threads: int, device: Literal["auto", "cpu", "cuda"], *, rank: int, processes: int
) -> Iterator[Compute]:
    """Yield what process `rank` of `processes` on this machine uses: its own GPU of those leased, part of `threads`."""
    _bring_in_torch()
    import torch

    if device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(rank)
    with _computing(max(1, threads // processes), device) as compute:
        yield compute


@contextmanager
def _hidden_gpus() -> Iterator[None]:
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _bring_in_torch() -> None:
    """Import torch, which makes very many objects, without looking for garbage among them again and again."""
    if "torch" not in sys.modules:  # else what others have made by now would stay with it
        with made_to_stay():
            importlib.import_module("torch")


@contextmanager
def _computing(threads: int, wanted: str) -> Iterator[Compute]:
    _bring_in_torch()  # only now: CUDA_VISIBLE_DEVICES counts from here on
    import torch

    on_gpu = torch.cuda.is_available() and wanted != "cpu"
    if wanted == "cuda" and not on_gpu:
        raise InputError(
            "no usable GPU: torch finds none", hint="check nvidia-smi, or set `device: auto` in config/config.yaml"
        )
    before = torch.get_num_threads()
    torch.set_num_threads(1 if on_gpu else threads)
    try:
        workers = max(1, threads - 1) if on_gpu else int(threads > 1)
        if workers:
            require_shared_memory()
        yield Compute(torch.device("cuda" if on_gpu else "cpu"), workers)
    finally:
        torch.set_num_threads(before)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent process ends, however it does (Linux; elsewhere nothing happens).

    Without it a training whose snakemake was killed would go on unseen, beside the one that a restart begins.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended in between
        os.kill(os.getpid(), signal.SIGTERM)
