"""This machine, as far as hours depend on it: its cores, its GPUs, and measured rates of the nearest device."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.cost.options import RATES
from mml_core.cost.rates import Rate, read_rates
from mml_core.runtime.compute import available_cores

#: A row's device is one thread of a processor where its name ends so.
_ONE_THREAD = "1 thread"
#: Threads of a training or a scoring at most, as in rules/train.smk.
_THREADS = 8
#: What a further thread adds to the first.
_OF_A_THREAD = 0.8


@dataclass(frozen=True)
class Machine:
    """What there is to compute with, and the rates of the measured device that is nearest to it."""

    cores: int
    gpus: Sequence[str]  # names of the GPUs that are used
    rates: Sequence[Rate]  # of one device

    @property
    def device(self) -> str:
        """The device that the rates are of."""
        return self.rates[0].device

    def seconds(self, hours: float) -> float:
        """Return the seconds that one job takes here which takes `hours` by the rates."""
        threads = 1 if self.gpus else min(self.cores, _THREADS)
        return hours * 3600 / (1 + _OF_A_THREAD * (threads - 1))

    @property
    def jobs(self) -> int:
        """How many trainings go on at a time."""
        return max(1, len(self.gpus) or self.cores // _THREADS)


def this_machine(cores: int | None = None, gpus: int | None = None) -> Machine:
    """Return this machine; `cores` and `gpus` are how many of them are used: all by default."""
    names = gpu_names()[:gpus]
    rates = read_rates(Path(__file__).resolve().parents[2] / RATES)
    found = [rate for rate in rates if rate.device.endswith(_ONE_THREAD)]
    if names:
        devices = list(dict.fromkeys(rate.device for rate in rates if not rate.device.endswith(_ONE_THREAD)))
        device = next((one for one in devices if one.casefold() in names[0].casefold()), devices[0])
        found = [rate for rate in rates if rate.device == device]
    return Machine(cores or available_cores(), names, found)


def gpu_names() -> list[str]:
    """Return the names of this machine's NVIDIA GPUs; none where the driver's `nvidia-smi` is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return [line.strip() for line in result.stdout.splitlines() if line.strip()] if result.returncode == 0 else []
