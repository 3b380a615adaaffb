"""Speed of optical flow here: every engine and its peers on the same clips in the same run, and how near to the bounds.

    python -m benchmarks.flow.speed [VIDEO ...]       clips made here where no video is named
    python -m benchmarks.flow.speed --device cuda --frames a.npy b.npy

Prints a table, appends it to benchmarks/results/flow.csv and draws docs/images/flow_roofline.svg (where matplotlib is
installed; torch, NumPy, pydantic and PyYAML are enough for the rest, and Triton or Numba for their engines).

Engines take turns (A B C A B C ...), and the fastest of several times counts, since what disturbs a run only slows it
down. Frames are in memory, on the device, grey and of their final size before the clock starts; flow stays on the
device. On a processor the peer is OpenCV's TV-L1 with as many threads, pairs side by side; on a GPU, and where there is
no OpenCV, it is the PyTorch engine on the same device. With one thread clips are timed one by one and "all" is their
sum; with several, all clips' pairs are one batch. benchmarks/flow/bounds.py says what is counted against which bound.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.flow.bounds import measure_bounds
from benchmarks.flow.clips import Clip, array_clips, joined, resized, synthetic_clips, video_clips
from benchmarks.flow.entrants import CPU_ENGINES, GPU_ENGINES, Entrant, Memory, available, make_entrant, measure_memory
from benchmarks.flow.table import Row, append, markdown, read, rows
from benchmarks.flow.timing import ALL, summed, time_in_turns
from benchmarks.machine import processor

RESULTS = Path(__file__).parents[1] / "results" / "flow.csv"
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "flow_roofline.svg"
#: Size at which the memory of a batch is stated.
_MEMORY_SIZE = (340, 256)
_DISTRIBUTIONS = ("torch", "numba", "triton", "opencv-contrib-python-headless")


class Group(NamedTuple):
    """Engines that are compared with one another."""

    device: torch.device
    threads: int  # 0 on a GPU
    batch: int  # 0 on a processor
    pairs: int  # of each clip
    engines: Sequence[str]
    apart: bool  # time each clip by itself too

    @property
    def peer(self) -> str:
        """The engine that the others are compared with."""
        return self.engines[0]


def _groups(options: argparse.Namespace) -> list[Group]:
    """Return what to compare; on a GPU machine with OpenCV that too, on one core and few pairs."""
    cpu, device = torch.device("cpu"), torch.device(options.device)
    if device.type == "cpu":
        names = [name for name in CPU_ENGINES if name in options.engines and available(name, options.variant, cpu)]
        return [Group(cpu, threads, 0, options.pairs or 4, names, threads == 1) for threads in options.threads]
    names = [name for name in GPU_ENGINES if name in options.engines and available(name, options.variant, device)]
    batches = options.batches
    groups = [Group(device, 0, batch, options.pairs or 64, names, batch == min(batches)) for batch in batches]
    if "opencv" in options.engines and available("opencv", options.variant, cpu):
        groups.append(Group(cpu, 1, 0, min(options.pairs or 4, 4), ["opencv"], True))
    return groups


def _measure(
    group: Group, size: tuple[int, int], clips: Sequence[Clip], memory: dict[str, Memory], options: argparse.Namespace
) -> Iterator[Row]:
    width, height = size
    entrants = [make_entrant(name, options.variant, group.device, group.threads, group.batch) for name in group.engines]
    scaled = [resized(clip, height, width, group.pairs + 1) for clip in clips]
    together = [joined(ALL, scaled)] if group.threads != 1 else []
    apart = scaled if group.apart else []
    _warm_up(entrants, (together or apart)[0], group.device)
    timings = time_in_turns(entrants, [*apart, *together], group.device, options.repetitions)
    timings += [] if together else summed(timings)
    bounds = measure_bounds(group.device, height, width, max(1, group.threads))
    peaks = memory if size == _MEMORY_SIZE else {}
    yield from rows(timings, _about(group.device), f"{width}x{height}", bounds, peaks, group.peer)


def _warm_up(entrants: Sequence[Entrant], clip: Clip, device: torch.device) -> None:
    """Compile, with a pair that stands still; on a GPU with a whole batch, which takes its memory too."""
    frames, pairs = clip.frames.to(device), clip.pairs
    for entrant in entrants:
        entrant.run(frames, pairs[: entrant.batch]) if entrant.batch else entrant.run(frames[[0, 0]], pairs[:1])


def _about(device: torch.device) -> tuple[str, str, str, str]:
    versions = []
    for name in _DISTRIBUTIONS:
        try:
            versions.append(f"{name.split('-')[0]} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    machine = f"{processor()}, {len(os.sched_getaffinity(0))} cores"
    return datetime.datetime.now(datetime.UTC).date().isoformat(), gpu, machine, ", ".join(versions)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*", help="clips of different motion; their middle is taken")
    parser.add_argument("--frames", type=Path, nargs="+", default=[], metavar="NPY", help="clips as uint8 (T, H, W)")
    parser.add_argument("--save-frames", type=Path, metavar="FOLDER", help="write the clips as .npy files and end")
    parser.add_argument("--stride", type=int, default=1, help="take every so manieth frame of the videos")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    every = (*CPU_ENGINES, *GPU_ENGINES[1:])
    parser.add_argument("--engines", nargs="+", default=every, choices=every, help="default: all that can run here")
    parser.add_argument("--variant", default="opencv", choices=["opencv", "opencv-cuda"])
    parser.add_argument("--sizes", type=_size, nargs="+", default=[(340, 256), (224, 224)], metavar="WxH")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="on a processor")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256], help="pairs at a time on a GPU")
    parser.add_argument("--pairs", type=int, help="of each clip; default: 4, on a GPU 64")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory")
    parser.add_argument("--output", type=Path, default=RESULTS, help="CSV file that rows are appended to")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="roofline of all rows in the CSV file")
    parser.add_argument("--markdown", type=Path, help="write the table of all clips there as well")
    return parser.parse_args(words)


def _clips(options: argparse.Namespace) -> list[Clip]:
    count = max(group.pairs for group in _groups(options)) + 1
    clips = video_clips(options.videos, count, options.stride) if options.videos else []
    clips += array_clips(options.frames)
    return clips or synthetic_clips(256, 340, count)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, append."""
    options = _arguments(words)
    torch.set_num_threads(1)
    clips = _clips(options)
    if options.save_frames:
        options.save_frames.mkdir(parents=True, exist_ok=True)
        for clip in clips:
            np.save(options.save_frames / f"{clip.name}.npy", clip.frames.numpy())
        return
    table: list[Row] = []
    groups = _groups(options)
    memory: dict[str, Memory] = {}
    if not options.no_memory and _MEMORY_SIZE in options.sizes:
        memory = {name: measure_memory(name, options.variant, groups[0].device) for name in groups[0].engines}
    for size in options.sizes:
        for group in groups:
            print(f"{group.threads} threads" if group.threads else f"batches of {group.batch}", flush=True)
            table += _measure(group, size, clips, memory, options)
    append(table, options.output)
    summary = markdown([row for row in table if row.clip == ALL])
    print(f"\n{table[0].device}, {table[0].machine}; {table[0].versions}\n{summary}")
    if importlib.util.find_spec("matplotlib"):
        from benchmarks.flow.roofline import draw

        draw(read(options.output), options.picture)
    if options.markdown:
        options.markdown.write_text(summary + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
