"""Training steps beside other work: threads that sleep while they wait, as jobs have them, beside threads that spin.

A narrow TSM-ResNet, 16 clips of 8 frames of 56 px a step, trains in a process of its own with so many threads as there
are cores, first alone, then beside 2, 4, … processes that compute all the time. `passive` is what the workflow sets
(OMP_WAIT_POLICY), `default` what torch does without. A row each is appended to benchmarks/results/busy.csv: seconds of
a step by the clock and of processors; `fair` is the clock's seconds alone times the share of the cores that is left,
(threads + neighbours) / cores, which no program can do much better than; `ratio` those of the row over it.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import processor
from mml_core.runtime.compute import available_cores

RESULTS = Path(__file__).parent / "results" / "busy.csv"
POLICIES = ("passive", "default")

TRAINING = """
import json, sys, time
import torch
from mml_core.config.networks import ResNetNetwork
from mml_core.networks import ClipShape, build_network

threads, steps = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(0)
config = ResNetNetwork(modality="rgb", backbone="resnet_tiny", init="random")
network = build_network(config, ClipShape(8, {"rgb": 3}), classes=8)
optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
clips, labels = torch.randn(16, 8, 3, 56, 56), torch.arange(16) % 8
for step in range(steps + 2):
    if step == 2:
        began, computed = time.perf_counter(), time.process_time()
    torch.nn.functional.cross_entropy(network(clips).logits, labels).backward()
    optimizer.step()
    optimizer.zero_grad()
print(json.dumps([(time.perf_counter() - began) / steps, (time.process_time() - computed) / steps]))
"""


class Row(NamedTuple):
    """A row of the table."""

    date: str
    device: str
    versions: str
    threads: int
    policy: str
    neighbours: int
    sec_a_step: float
    processor_sec_a_step: float
    fair_sec: float
    ratio: str


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Have `count` processes compute all the time."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def step_seconds(policy: str, threads: int, steps: int) -> tuple[float, float]:
    """Return the seconds of a step, by the clock and of processors."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    if policy == "passive":
        environment["OMP_WAIT_POLICY"] = "passive"
    command = [sys.executable, "-c", TRAINING, str(threads), str(steps)]
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    clock, computed = json.loads(said.stdout)
    return clock, computed


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 2, 4], help="first 0")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    date, cores = datetime.datetime.now(datetime.UTC).date().isoformat(), available_cores()
    alone: dict[str, float] = {}
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        for neighbours in options.neighbours:
            for policy in POLICIES:
                with busy(neighbours):
                    clock, computed = step_seconds(policy, options.threads, options.steps)
                alone.setdefault(policy, clock)
                fair = alone[policy] * max(1.0, (options.threads + neighbours) / cores)
                about = (date, processor(), f"torch {version('torch')}", options.threads, policy, neighbours)
                row = Row(*about, round(clock, 4), round(computed, 4), round(fair, 4), f"{clock / fair:.2f}")
                writer.writerow(row)
                print(
                    f"{policy}, {neighbours} neighbours: {clock:.3f} s a step, {computed:.3f} s of processors, "
                    f"{row.ratio} times a fair share's",
                    flush=True,
                )


if __name__ == "__main__":
    main()
