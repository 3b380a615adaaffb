"""What is measured against each other: our engines and their peers, each as it is fastest."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch

from mml_core.flow import Dis, Farneback, PairEngine, Tvl1, choose_engine, optical_flow

#: Engines by device in the order of the table, the peer first.
CPU_ENGINES = ("opencv", "torch", "numba", "dis", "farneback")
GPU_ENGINES = ("torch", "triton")
#: Runs a batch of 64 pairs at 340x256 in a process of its own: frames that stand still take the memory of any others.
_MEMORY_FRAMES = (65, 256, 340)


class Entrant(NamedTuple):
    """An engine, set up; `run` returns the iterations (P, levels, warps) of `pairs` (P, 2) of `frames` (F, H, W)."""

    engine: str
    variant: str
    threads: int  # 0 on a GPU
    batch: int  # pairs at a time; 0 on a processor
    run: Callable[[torch.Tensor, torch.Tensor], torch.Tensor | None]


def available(engine: str, variant: str, device: torch.device) -> bool:
    """Return whether the engine can run here, with that variant of TV-L1."""
    if engine in ("dis", "farneback", "opencv"):
        runs = importlib.util.find_spec("cv2") is not None and device.type == "cpu"
        return runs and (engine != "opencv" or variant == "opencv")
    return engine == "torch" or importlib.util.find_spec(engine) is not None


def make_engine(engine: str, variant: str, device: torch.device, threads: int = 1) -> PairEngine:
    """Return the engine called `engine` here: one of TV-L1's, or another algorithm."""
    match engine:
        case "dis":
            return choose_engine(Dis(method="dis"))
        case "farneback":
            return choose_engine(Farneback(method="farneback"))
        case _:
            return choose_engine(Tvl1(variant=variant), engine, device=device, threads=threads)


def make_entrant(engine: str, variant: str, device: torch.device, threads: int, batch: int) -> Entrant:
    """Return an entrant that works on `batch` pairs at a time on a GPU, on a processor on `threads` side by side.

    Numba's engine brings its own threads. For the others pairs are shared out to threads, each with one torch and one
    OpenCV thread inside, since threads within a pair gain less; OpenCV's engine has an object in each.
    """
    solve = _solver(make_engine(engine, variant, device, threads))
    about = (engine, variant if engine in ("opencv", "torch", "numba", "triton") else "")
    if device.type == "cuda":
        return Entrant(*about, 0, batch, lambda frames, pairs: _joined([solve(frames, p) for p in pairs.split(batch)]))
    if engine == "numba":
        return Entrant(*about, threads, 0, solve)
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def run(frames: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor | None:
        return _joined(list(pool.map(lambda pair: solve(frames, pair[None]), pairs)))

    return Entrant(*about, threads, 0, run)


def _solver(engine: PairEngine) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor | None]:
    if hasattr(engine, "solve"):
        return lambda frames, pairs: engine.solve(frames, pairs).iterations

    def solve(frames: torch.Tensor, pairs: torch.Tensor) -> None:
        engine(frames, pairs)

    return solve


def _joined(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    return None if any(part is None for part in parts) else torch.cat([part for part in parts if part is not None])


class Memory(NamedTuple):
    """Peaks of a process that computes 64 pairs at 340x256, in megabytes."""

    host_mb: int  # everything: Python, torch and its libraries too
    gpu_mb: int  # tensors; 0 on a processor


def measure_memory(engine: str, variant: str, device: torch.device) -> Memory:
    """Return the peaks of a fresh process, one thread."""
    command = [sys.executable, "-m", "benchmarks.flow.entrants", engine, variant, device.type]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Memory(*json.loads(output.splitlines()[-1]))


def _peaks(engine: str, variant: str, device: torch.device) -> Memory:
    torch.set_num_threads(1)
    still = torch.randint(0, 256, _MEMORY_FRAMES[1:], dtype=torch.uint8).expand(_MEMORY_FRAMES).to(device)
    optical_flow([still], make_engine(engine, variant, device))
    status = Path("/proc/self/status").read_text(encoding="ascii")  # ru_maxrss starts with the parent's peak
    host_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    gpu_bytes = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    return Memory(round(host_kb * 1024 / 1e6), round(gpu_bytes / 1e6))


if __name__ == "__main__":
    print(json.dumps(_peaks(sys.argv[1], sys.argv[2], torch.device(sys.argv[3]))))
