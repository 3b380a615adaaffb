"""What jobs take beside their work: Python with the imports of each kind of job, as its script has them, and its end.

Peers are `import torch` and `import torch, torchvision`, which is what networks need. Processor seconds of a whole
process, the least of several that take turns. A row each is appended to
benchmarks/results/starts.csv; `ratio` is the seconds of `import torch` over the row's.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import processor

RESULTS = Path(__file__).parent / "results" / "starts.csv"
PEER = "import torch"
#: A script that imports before it begins, as those do that need no GPU.
AT_ONCE = """
import {modules}
from mml_core.runtime.cli import run
run(lambda: None)
"""
#: A script that imports once it is known where to compute.
LATE = """
from mml_core.runtime.cli import run
from mml_core.runtime.compute import prepare_compute

def main():
    with prepare_compute(1, "cpu"):
        import {modules}

run(main)
"""
#: The program of each contender.
PROGRAMS = {
    PEER: PEER,
    "import torch, torchvision": "import torch, torchvision",
    "plan of the data": AT_ONCE.format(modules="mml_core.plan.data_file, mml_core.annotations"),
    "decoding frames": AT_ONCE.format(modules="mml_core.modalities.rgb"),
    "differences": AT_ONCE.format(modules="mml_core.modalities.diff"),
    "sound": AT_ONCE.format(modules="mml_core.modalities.audio"),
    "flow": LATE.format(modules="mml_core.modalities.flow"),
    "training": LATE.format(modules="mml_core.training.job"),
    "scores": LATE.format(modules="mml_core.evaluation.job"),
    "a table": AT_ONCE.format(modules="mml_core.evaluation.table"),
    "a report": AT_ONCE.format(modules="mml_core.report.job"),
}


class Row(NamedTuple):
    """A row of the table."""

    date: str
    device: str
    versions: str
    job: str
    processor_sec: float
    ratio: str


def start(program: str) -> float:
    """Return the processor seconds of a Python that runs `program`."""
    process = subprocess.Popen([sys.executable, "-c", program])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {program}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(options.rounds + 1):
        for name, program in PROGRAMS.items():
            took[name].append(start(program))
    least = {name: min(values[1:]) for name, values in took.items()}  # the first fills caches
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = f"Python {sys.version.split()[0]}, torch {version('torch')}, torchvision {version('torchvision')}"
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        for name, seconds in least.items():
            row = Row(date, processor(), versions, name, round(seconds, 2), f"{least[PEER] / seconds:.2f}")
            writer.writerow(row)
            print(f"{name}: {seconds:.2f} s of processors, {row.ratio} times as fast as {PEER}", flush=True)


if __name__ == "__main__":
    main()
