"""Choosing what computes flow. An engine is imported only when it is chosen: most machines lack what another needs."""

from __future__ import annotations

import importlib.util

import torch

from mml_core.config.flow import Dis, Farneback, Tvl1, Tvl1Engine
from mml_core.errors import InputError
from mml_core.flow.engine import PairEngine

_HINT = "flow_engine: auto in config/config.yaml, or --engine auto, takes one that can"


class _CannotCompileError(InputError):
    """Triton cannot make or launch its kernels here."""


def choose_engine(
    algorithm: Tvl1 | Dis | Farneback | None = None,
    name: Tvl1Engine = "auto",
    *,
    device: torch.device | None = None,
    threads: int = 1,
) -> PairEngine:
    """Return the engine `name` for `algorithm` (default: TV-L1 with its defaults).

    `auto` takes the fastest that can run: on a GPU triton (torch, and why is printed, where Triton is missing or cannot
    compile), on a processor numba, and torch where the parameters are beyond those. DIS and Farnebäck are OpenCV's,
    whatever `name` says.
    device: where TV-L1 runs; default: a GPU where there is one. numba and opencv run on the processor, whatever it is.
    threads: how many pairs the engine works on side by side, on a processor; opencv does one after another.
    Raises InputError where the engine cannot run here, or not with these parameters; what torch raises where a GPU
    fails.
    """
    if isinstance(algorithm, Dis | Farneback):
        from mml_core.flow.opencv import OpenCvDis, OpenCvFarneback

        return OpenCvDis(algorithm) if isinstance(algorithm, Dis) else OpenCvFarneback(algorithm)
    settings = algorithm or Tvl1()
    place = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return _fastest(settings, place, threads) if name == "auto" else _tvl1(settings, name, place, threads)
    except ValueError as error:
        raise InputError(str(error), hint=_HINT) from error


def _fastest(settings: Tvl1, device: torch.device, threads: int) -> PairEngine:
    if settings.illumination:
        return _tvl1(settings, "torch", device, threads)
    fast: Tvl1Engine = "triton" if device.type == "cuda" else "numba"
    if importlib.util.find_spec(fast):
        try:
            return _tvl1(settings, fast, device, threads)
        except _CannotCompileError as error:
            print(f"flow: {error.message}; going on with engine torch on the same GPU, which is slower", flush=True)
    return _tvl1(settings, "torch", device, threads)


def _tvl1(settings: Tvl1, name: Tvl1Engine, device: torch.device, threads: int) -> PairEngine:
    match name:
        case "triton":
            return _triton(settings, device)
        case "numba":
            from mml_core.flow.numba.engine import NumbaTvl1

            return NumbaTvl1(settings, threads)
        case "opencv":
            from mml_core.flow.opencv import OpenCvTvl1

            return OpenCvTvl1(settings)
        case _:
            from mml_core.flow.torch.reference import TorchTvl1

            return TorchTvl1(settings, device)


def _triton(settings: Tvl1, device: torch.device) -> PairEngine:
    """Return the engine once it has computed a small pair: only then is it known to compile and run here."""
    if device.type != "cuda":
        raise InputError("engine triton needs a GPU, and flow is to run on the CPU", hint=_HINT)
    from mml_core.flow.triton.engine import TritonTvl1

    engine = TritonTvl1(settings, device)
    try:
        engine(torch.zeros((2, 16, 16), dtype=torch.uint8, device=device), torch.tensor([[0, 1]]))
    except Exception as error:  # a compiler, a driver or a GPU that Triton cannot use: each raises something else
        if _is_fault_of_gpu(error):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        hint = f"Triton needs a C compiler, such as gcc, or CC to name one, and a GPU that it supports; {_HINT}"
        raise _CannotCompileError(f"engine triton does not run here: {reason}", hint=hint) from error
    return engine


def _is_fault_of_gpu(error: Exception) -> bool:
    """Return whether a GPU is lost, or full: no other engine would do better on it."""
    return isinstance(error, torch.AcceleratorError | torch.OutOfMemoryError) or "CUDA error" in str(error)
