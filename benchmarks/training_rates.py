"""Clips a second of training steps and forward passes of networks, one device: what `mml cost` reckons with.

Prints a row per network and pass and appends it to benchmarks/results/training_rates.csv. A step is that of the stage
engine (mml_core/training/engine.py): 8-bit clips are normalised on the device, then forward, cross-entropy, backward,
clipping and SGD, in float16 where that is safe on a GPU unless --precision full. Clips are random and lie on the
device, so loading is not part of it. The median of the steps after the first two counts.

  python -m benchmarks.training_rates tsm/resnet50/rgb/8x224 tsm/resnet50/flow/8x224 --batch 64
  python -m benchmarks.training_rates resnext3d/101x32/flow/16x112 s3d//rgb/16x224 --stack 1

The second word is a backbone, or depth and cardinality; of architectures of one size it is empty.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import torch
from pydantic import TypeAdapter
from torch.nn.utils import clip_grad_norm_

from benchmarks.machine import processor
from mml_core.clips import input_channels, normalise
from mml_core.config.clips import ClipConfig
from mml_core.config.learning import SgdConfig
from mml_core.config.networks import NetworkConfig
from mml_core.config.networks.base import OneStream
from mml_core.cost.rates import Pass, Rate, describe
from mml_core.networks import ClipShape, VideoNetwork, build_network, gflops_per_clip, parameter_groups
from mml_core.training.deterministic import deterministic

RESULTS = Path(__file__).parent / "results" / "training_rates.csv"
COLUMNS = [field.alias or name for name, field in Rate.model_fields.items()]
WARM_UP = 2
CLASSES = 174


class Network(NamedTuple):
    """A network of the command line."""

    config: OneStream
    kind: str
    frames: int
    crop_px: int


def parse_network(text: str) -> Network:
    """Return the network that ARCHITECTURE/SIZE/KIND/FRAMESxPX describes, as a type of argparse."""
    architecture, size, kind, shape = text.split("/")
    frames, crop_px = shape.split("x")
    match architecture:
        case "resnext3d":
            depth, cardinality = size.split("x")
            own = {"depth": depth if depth == "tiny" else int(depth), "cardinality": int(cardinality)}
        case "p3d":
            own = {"depth": size if size == "tiny" else int(size)}
        case "s3d" | "s3dg":
            own = {}
        case _:
            own = {"backbone": size}
    block = {"architecture": architecture, "modality": kind, "init": "random", **own}
    return Network(TypeAdapter(NetworkConfig).validate_python(block), kind, int(frames), int(crop_px))


def training_step(network: VideoNetwork, levels: torch.Tensor, kind: str, *, mixed: bool) -> Callable[[], None]:
    """Return a function that trains `network` on `levels` (B, T, C, H, W), 8-bit, by one step."""
    device = levels.device
    # so small a rate that the network does not come to know these clips: gradients would become denormal numbers, which
    # a processor is many times slower with
    settings = SgdConfig(learning_rate=1e-6)
    optimizer = torch.optim.SGD(parameter_groups(network, settings, new_head=True), momentum=settings.momentum)
    scaler = torch.amp.GradScaler(device.type, enabled=mixed)
    labels = torch.randint(0, CLASSES, (len(levels),), device=device)

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.float16, enabled=mixed):
            logits = network(normalise(levels, kind)).logits
        scaler.scale(torch.nn.functional.cross_entropy(logits.float(), labels)).backward()
        scaler.unscale_(optimizer)
        clip_grad_norm_(network.parameters(), settings.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    return step


def forward_pass(network: VideoNetwork, levels: torch.Tensor, kind: str, *, mixed: bool) -> Callable[[], None]:
    """Return a function that predicts for `levels` (B, T, C, H, W), 8-bit, as in testing."""
    network.eval()

    def step() -> None:
        with torch.no_grad(), torch.autocast(levels.device.type, dtype=torch.float16, enabled=mixed):
            network(normalise(levels, kind))

    return step


def seconds_per_step(step: Callable[[], None], count: int, device: torch.device, clock: Callable[[], float]) -> float:
    """Return the median time of `count` steps in seconds, after some that warm up."""
    times = []
    for _ in range(WARM_UP + count):
        began = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - began)
    return statistics.median(times[WARM_UP:])


def parse(words: list[str] | None) -> argparse.Namespace:
    """Return the options that `words` (default: the process's own) give."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", type=parse_network, nargs="+", metavar="ARCHITECTURE/SIZE/KIND/FRAMESxPX")
    parser.add_argument("--only", choices=get_args(Pass), help="measure this pass alone; default: both")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=["mixed", "full"], default="mixed", help="on a GPU; default: mixed")
    parser.add_argument("--batch", type=int, default=64, help="clips of a step")
    parser.add_argument("--stack", type=int, default=ClipConfig().stack, help="flow fields or differences a frame")
    parser.add_argument("--steps", type=int, default=20, help="steps that count")
    parser.add_argument("--threads", type=int, default=1, help="on a processor")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="on a processor that does other work beside: the time that one thread computed, without its pauses",
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="CSV file that rows are appended to")
    options = parser.parse_args(words)
    if options.processor_time and (options.device, options.threads) != ("cpu", 1):
        parser.error("--processor-time is for one thread on a processor")
    return options


def measure(network: Network, direction: str, options: argparse.Namespace) -> Rate:
    """Return the rate of a network in one pass."""
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    mixed = on_gpu and options.precision == "mixed"
    channels = input_channels(network.kind, options.stack)
    built = build_network(network.config, ClipShape(network.frames, {network.kind: channels}), classes=CLASSES)
    shape = (network.frames, channels, network.crop_px, network.crop_px)
    gflops = gflops_per_clip(built, shape)
    built = built.to(device, memory_format=built.memory_format)
    levels = torch.randint(0, 256, (options.batch, *shape), dtype=torch.uint8, device=device)
    prepare = training_step if direction == "train" else forward_pass
    clock = time.thread_time if options.processor_time else time.perf_counter
    with deterministic():
        seconds = seconds_per_step(prepare(built, levels, network.kind, mixed=mixed), options.steps, device, clock)
    how = ", processor time beside other work" if options.processor_time else ""
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    fields = {
        "device": torch.cuda.get_device_name(device) if on_gpu else f"{processor()}, {threads}",
        "architecture": network.config.architecture,
        "size": network.config.size,
        "modality_kind": network.kind,
        "frames": network.frames,
        "crop_px": network.crop_px,
        "precision": options.precision if on_gpu else "either",
        "pass": direction,
        "clips_per_s": float(f"{options.batch / seconds:.4g}"),
        "gflops_per_clip": round(gflops, 4),
        "source": f"benchmarks/training_rates.py, batch {options.batch}{how}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "software": f"torch {torch.__version__}",
    }
    return Rate.model_validate(fields)


def main(words: list[str] | None = None) -> None:
    """Measure and append."""
    options = parse(words)
    torch.set_num_threads(options.threads)
    options.output.parent.mkdir(exist_ok=True)
    with options.output.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        for network in options.networks:
            for direction in [options.only] if options.only else get_args(Pass):
                rate = measure(network, direction, options)
                writer.writerow(rate.model_dump(by_alias=True))
                file.flush()
                print(f"{rate.device}: {describe(rate)}: {rate.clips_per_s:.4g} clips/s", flush=True)


if __name__ == "__main__":
    main()
