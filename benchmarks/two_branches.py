"""What attention between two branches costs: a training step of `cma` against one of each stream by itself.

Prints a row and appends it to benchmarks/results/two_branches.csv. All three networks train on the same random clips,
which lie on the device: forward, cross-entropy of the network's own scores, backward; nothing is frozen. Their steps
take turns, so that what else the machine does is shared, and the median of each counts. `ratio` is cma's time to that
of both streams, `by_gflops` the ratio of their GFLOPs: above it, attention is slower than the streams' convolutions
are.

  python -m benchmarks.two_branches --backbone resnet18 --crop 96 --batch 4 --processor-time
"""

from __future__ import annotations

import argparse
import csv
import datetime
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import torch
from pydantic import TypeAdapter
from torch import Tensor

from benchmarks.machine import processor
from mml_core.config.networks import NetworkConfig
from mml_core.config.networks.base import ResNet
from mml_core.networks import ClipShape, VideoNetwork, build_network, gflops_per_clip

RESULTS = Path(__file__).parent / "results" / "two_branches.csv"
CLASSES = 400
SEGMENTS = 3
CHANNELS = {"rgb": 3, "flow": 10}
WARM_UP = 2


class Trained(NamedTuple):
    """A network, and the modalities that it takes."""

    network: VideoNetwork
    inputs: Sequence[str]


def make_networks(backbone: str) -> dict[str, Trained]:
    """Return both streams and the network of two branches."""
    blocks = {
        "rgb": {"architecture": "tsn", "modality": "rgb"},
        "flow": {"architecture": "tsn", "modality": "flow"},
        "cma": {"architecture": "cma"},
    }
    made = {}
    for name, block in blocks.items():
        config = TypeAdapter(NetworkConfig).validate_python({**block, "backbone": backbone, "init": "random"})
        network = build_network(config, ClipShape(1, CHANNELS, SEGMENTS), classes=CLASSES)
        made[name] = Trained(network, config.modalities)
    return made


def train_step(one: Trained, clips: Mapping[str, Tensor], labels: Tensor, *, mixed: bool) -> None:
    """Train by one step, without the update, which is a matter of parameters alone."""
    with torch.autocast(labels.device.type, dtype=torch.float16, enabled=mixed):
        logits = one.network(*(clips[name] for name in one.inputs)).logits
    torch.nn.functional.cross_entropy(logits.float(), labels).backward()
    one.network.zero_grad(set_to_none=True)


def seconds_of_each(
    networks: Mapping[str, Trained], options: argparse.Namespace, device: torch.device
) -> dict[str, float]:
    """Return the median time of a step of each network, in seconds; they take turns."""
    mixed = device.type == "cuda"
    shape = (options.batch, SEGMENTS)
    clips = {
        name: torch.randn(*shape, channels, options.crop, options.crop, device=device)
        for name, channels in CHANNELS.items()
    }
    labels = torch.randint(0, CLASSES, (options.batch,), device=device)
    clock = time.thread_time if options.processor_time else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(WARM_UP + options.steps):
        for name, one in networks.items():
            began = clock()
            train_step(one, clips, labels, mixed=mixed)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append(clock() - began)
    return {name: statistics.median(own[WARM_UP:]) for name, own in times.items()}


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Return the row of one run."""
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    networks = make_networks(options.backbone)
    views = {name: (SEGMENTS, channels, options.crop, options.crop) for name, channels in CHANNELS.items()}
    gflops = {
        name: gflops_per_clip(one.network, *(views[read] for read in one.inputs)) for name, one in networks.items()
    }
    for one in networks.values():
        one.network.to(device, memory_format=one.network.memory_format).train()
    seconds = seconds_of_each(networks, options, device)
    how = ", processor time" if options.processor_time else ""
    threads = f"{processor()}, {options.threads} thread{'s' if options.threads > 1 else ''}{how}"
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else threads,
        "backbone": options.backbone,
        "segments": SEGMENTS,
        "crop_px": options.crop,
        "batch": options.batch,
        **{f"{name}_clips_per_s": f"{options.batch / value:.4g}" for name, value in seconds.items()},
        **{f"{name}_gflops": f"{value:.4f}" for name, value in gflops.items()},
        "ratio": f"{seconds['cma'] / (seconds['rgb'] + seconds['flow']):.3f}",
        "by_gflops": f"{gflops['cma'] / (gflops['rgb'] + gflops['flow']):.3f}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "software": f"torch {torch.__version__}",
    }


def main(words: list[str] | None = None) -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=get_args(ResNet), default="resnet50")
    parser.add_argument("--crop", type=int, default=224, help="side of the square input in pixels")
    parser.add_argument("--batch", type=int, default=32, help="clips of a step")
    parser.add_argument("--steps", type=int, default=20, help="steps of each network that count")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="on a processor")
    parser.add_argument("--processor-time", action="store_true", help="on a processor that does other work beside")
    parser.add_argument("--output", type=Path, default=RESULTS, help="CSV file that a row is appended to")
    options = parser.parse_args(words)
    if options.processor_time and (options.device, options.threads) != ("cpu", 1):
        parser.error("--processor-time is for one thread on a processor")
    row = measure(options)
    options.output.parent.mkdir(exist_ok=True)
    with options.output.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
    print(", ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
