"""What jobs take before they begin: Python with the imports of each kind of job, beside `import torch, torchvision`.

Processor seconds of a whole process, the least of several that take turns. A row each is appended to
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
#: What a job of each kind imports (workflow/scripts).
IMPORTS = {
    PEER: "torch",
    "import torch, torchvision": "torch, torchvision",
    "plan of the data": "mml_core.plan.data_file, mml_core.annotations",
    "decoding frames": "mml_core.modalities.rgb",
    "differences": "mml_core.modalities.diff",
    "sound": "mml_core.modalities.audio",
    "flow": "mml_core.modalities.flow",
    "training": "mml_core.training.job",
    "scores": "mml_core.evaluation.job",
    "a table": "mml_core.evaluation.table",
    "a report": "mml_core.report.job",
}


class Row(NamedTuple):
    """A row of the table."""

    date: str
    device: str
    versions: str
    job: str
    processor_sec: float
    ratio: str


def start(modules: str) -> float:
    """Return the processor seconds of a Python that imports `modules` and ends."""
    process = subprocess.Popen([sys.executable, "-c", f"import {modules}"])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"import {modules} failed")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(options.rounds + 1):
        for name, modules in IMPORTS.items():
            took[name].append(start(modules))
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
