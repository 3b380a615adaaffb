"""Choosing what computes flow. An engine is imported only when it is chosen: most machines lack what another needs."""

from __future__ import annotations

import importlib.util

import torch

from mml_core.config.flow import Dis, Farneback, Tvl1, Tvl1Engine
from mml_core.errors import InputError
from mml_core.flow.engine import PairEngine


def choose_engine(
    algorithm: Tvl1 | Dis | Farneback | None = None,
    name: Tvl1Engine = "auto",
    *,
    device: torch.device | None = None,
    threads: int = 1,
) -> PairEngine:
    """Return the engine `name` for `algorithm` (default: TV-L1 with its defaults).

    `auto` takes the fastest that can run: on a GPU triton (torch where Triton is missing), on a processor numba, and
    torch where the parameters are beyond those. DIS and Farnebäck are OpenCV's, whatever `name` says.
    device: where TV-L1 runs; default: a GPU where there is one.
    threads: how many pairs the engine works on side by side, on a processor; opencv does one after another.
    Raises InputError where the engine cannot run here, or not with these parameters.
    """
    if isinstance(algorithm, Dis | Farneback):
        from mml_core.flow.opencv import OpenCvDis, OpenCvFarneback

        return OpenCvDis(algorithm) if isinstance(algorithm, Dis) else OpenCvFarneback(algorithm)
    settings = algorithm or Tvl1()
    place = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return _tvl1(settings, _fastest(settings, place) if name == "auto" else name, place, threads)
    except ValueError as error:
        raise InputError(str(error), hint="engine: auto takes one that can") from error


def _fastest(settings: Tvl1, device: torch.device) -> Tvl1Engine:
    if settings.illumination:
        return "torch"
    if device.type == "cuda":
        return "triton" if importlib.util.find_spec("triton") else "torch"
    return "numba" if importlib.util.find_spec("numba") else "torch"


def _tvl1(settings: Tvl1, name: Tvl1Engine, device: torch.device, threads: int) -> PairEngine:
    if name in ("numba", "opencv") and device.type != "cpu":
        device = torch.device("cpu")
    match name:
        case "triton":
            if device.type != "cuda":
                raise InputError("engine triton needs a GPU, and flow is to run on the CPU", hint="engine: auto")
            from mml_core.flow.triton_engine import TritonTvl1

            return TritonTvl1(settings, device)
        case "numba":
            from mml_core.flow.numba_engine import NumbaTvl1

            return NumbaTvl1(settings, threads)
        case "opencv":
            from mml_core.flow.opencv import OpenCvTvl1

            return OpenCvTvl1(settings)
        case _:
            from mml_core.flow.reference import TorchTvl1

            return TorchTvl1(settings, device)
