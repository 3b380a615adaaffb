"""Clips a second of training steps and forward passes of networks, one device: what `mml cost` reckons with.

Prints a row per network, pass and precision, measured in turn, and appends it to benchmarks/results/training_rates.csv.
Steps are those of the stage engine (benchmarks/training_step.py); `--precision` is a stage's: mixed is float16 where
that is safe, on a GPU, bf16 is bfloat16 on any device, in training alone. `--compile` measures compiled steps beside
the others. Clips are random and lie on the device, so loading is not part of it. The median of the steps after the
first two counts.

  python -m benchmarks.training_rates tsm/resnet50/rgb/8x224 tsm/resnet50/flow/8x224 --batch 64 --precision mixed bf16
  python -m benchmarks.training_rates resnext3d/101x32/flow/16x112 s3d//rgb/16x224 --stack 1

The second word is a backbone, or depth and cardinality; of architectures of one size it is empty. `--mutual` measures a
step of networks that learn from each other; as no network's own rate, it goes to benchmarks/results/mutual_steps.csv:

  python -m benchmarks.training_rates --mutual tsm/resnet50/rgb/8x224 tsm/resnet50/flow/8x224 --precision mixed bf16
"""

from __future__ import annotations

import argparse
import csv
import datetime
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch

from benchmarks.machine import processor
from benchmarks.training_step import (
    Network,
    build,
    clock_of,
    forward_pass,
    parse_network,
    seconds_per_step,
    training_step,
)
from mml_core.config.clips import ClipConfig
from mml_core.cost.rates import Pass, Rate, describe
from mml_core.training.compiled import compiling
from mml_core.training.deterministic import deterministic

RESULTS = Path(__file__).parent / "results" / "training_rates.csv"
COLUMNS = [field.alias or name for name, field in Rate.model_fields.items()]
MUTUAL_COLUMNS = ["device", "networks", "precision", "compiled", "clips_per_s", "source", "date", "software"]


def parse(words: list[str] | None) -> argparse.Namespace:
    """Return the options that `words` (default: the process's own) give."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shape = "ARCHITECTURE/SIZE/KIND/FRAMESxPX"
    parser.add_argument("networks", type=parse_network, nargs="*", metavar=shape)
    parser.add_argument(
        "--mutual",
        type=parse_network,
        nargs="+",
        action="append",
        default=[],
        metavar=shape,
        help="a step of these networks, two or more, that learn from each other; may be given more than once",
    )
    parser.add_argument("--only", choices=get_args(Pass), help="measure this pass alone; default: both")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--precision", choices=["mixed", "bf16", "full"], nargs="+", default=["mixed"], help="default: mixed"
    )
    parser.add_argument("--compile", action="store_true", help="measure steps that torch compiles as well")
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
    if (not options.networks and not options.mutual) or any(len(group) < 2 for group in options.mutual):
        parser.error("name networks, or two or more of them behind --mutual")
    return options


class Way(NamedTuple):
    """How a network is computed."""

    precision: str
    compiled: bool


def ways(options: argparse.Namespace, direction: Pass) -> list[Way]:
    """Return what is to be measured: on a processor mixed and full are one; bfloat16 and compiling are for training."""
    chosen = [one for one in options.precision if direction == "train" or one != "bf16"]
    if options.device == "cpu":
        chosen = ["either" if one in ("mixed", "full") else one for one in chosen]
    compiled = (False, True) if options.compile and direction == "train" else (False,)
    return [Way(*way) for way in itertools.product(dict.fromkeys(chosen), compiled)]


def measure(
    networks: Sequence[Network], direction: Pass, options: argparse.Namespace
) -> tuple[dict[Way, float], float]:
    """Return the clips a second of each way, and the GFLOPs of a clip of all networks together."""
    device = torch.device(options.device)
    steps, gflops = {}, 0.0
    for way in ways(options, direction):
        subjects = [build(one, batch=options.batch, stack=options.stack, device=device) for one in networks]
        gflops = sum(one.gflops for one in subjects)
        precision = "mixed" if way.precision == "either" else way.precision
        steps[way] = (
            training_step(subjects, precision, compile_it=way.compiled)
            if direction == "train"
            else forward_pass(subjects[0], precision)
        )
    with deterministic(), compiling() if options.compile else nullcontext():
        seconds = seconds_per_step(steps, options.steps, device, clock_of(processor_time=options.processor_time))
    return {way: options.batch / value for way, value in seconds.items()}, gflops


def about(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that all rows of a run have in common."""
    how = ", processor time beside other work" if options.processor_time else ""
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    return {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else f"{processor()}, {threads}",
        "source": f"benchmarks/training_rates.py, batch {options.batch}{how}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "software": f"torch {torch.__version__}",
    }


def rates(network: Network, direction: Pass, options: argparse.Namespace) -> Iterator[Rate]:
    """Yield the rates of a network in one pass."""
    measured, gflops = measure([network], direction, options)
    for way, clips_per_s in measured.items():
        yield Rate.model_validate(
            {
                **about(options),
                "architecture": network.config.architecture,
                "size": network.config.size,
                "modality_kind": network.kind,
                "frames": network.frames,
                "crop_px": network.crop_px,
                **way._asdict(),
                "pass": direction,
                "clips_per_s": float(f"{clips_per_s:.4g}"),
                "gflops_per_clip": round(gflops, 4),
            }
        )


def append(file: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    """Add a row to a file of rows, which begins with the names of its columns."""
    file.parent.mkdir(exist_ok=True)
    with file.open("a", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        if out.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def main(words: list[str] | None = None) -> None:
    """Measure and append."""
    options = parse(words)
    torch.set_num_threads(options.threads)
    for network in options.networks:
        for direction in [options.only] if options.only else get_args(Pass):
            for rate in rates(network, direction, options):
                append(options.output, COLUMNS, rate.model_dump(by_alias=True))
                print(f"{rate.device}: {describe(rate)}: {rate.clips_per_s:.4g} clips/s", flush=True)
    for group in options.mutual:
        together = " + ".join(one.text for one in group)
        for way, clips_per_s in measure(group, "train", options)[0].items():
            row = {**about(options), "networks": together, **way._asdict(), "clips_per_s": f"{clips_per_s:.4g}"}
            append(options.output.with_name("mutual_steps.csv"), MUTUAL_COLUMNS, row)
            how = way.precision + (", compiled" if way.compiled else "")
            print(f"{row['device']}: mutual, {together}, {how}: {row['clips_per_s']} clips/s", flush=True)


if __name__ == "__main__":
    main()
