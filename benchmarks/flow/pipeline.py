"""From a shard of decoded frames to a shard of flow, end to end: frames a second, and the share of each part.

    python -m benchmarks.flow.pipeline VIDEO ... [--frames 60] [--flows numba opencv dis farneback motion_vectors]
    python -m benchmarks.flow.pipeline rgb.h5 --device cuda        a shard of frames: needs neither ffmpeg nor OpenCV

Prints a row per flow and appends it to benchmarks/results/flow_pipeline.csv. Reading includes decoding JPEGs, writing
does not include the shard's last copy to its place. Rates and shares (of thread-seconds) leave out the compilation of
an engine, once a job, which is a column of its own. Rows of kind "decode" compare what decodes JPEGs: all threads, or a
GPU's nvJPEG where there is one. torchvision's nvJPEG encodes no grey images: there is nothing to compare for encoding.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import h5py
import torch
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks.machine import processor
from mml_core.config.dataset import FlowModality, Limits, RgbModality
from mml_core.config.flow import Dis, Farneback, FlowAlgorithm, MotionVectors, Tvl1
from mml_core.modalities.flow import make_flow_shard
from mml_core.shards.images import encode_rgb
from mml_core.shards.reader import ShardReader
from mml_core.shards.schema import ShardInfo
from mml_core.shards.writer import ShardWriter

RESULTS = Path(__file__).parents[1] / "results" / "flow_pipeline.csv"
OTHERS = {"dis": Dis(method="dis"), "farneback": Farneback(method="farneback")}
VECTORS = FlowModality(algorithm=MotionVectors(method="motion_vectors"))
PARTS = ("read", "grey", "flow", "quantise", "encode", "write")
_JPEGS_A_CALL = 64


class Row(NamedTuple):
    """A row of the table."""

    date: str
    device: str
    versions: str
    kind: str  # flow, or decode
    name: str  # algorithm with the engine of TV-L1, or what decodes
    threads: int
    frames: int
    size: str
    frames_per_sec: float
    compile_sec: float
    shares: str  # of each part, in percent


def _device(where: torch.device) -> str:
    return torch.cuda.get_device_name(where) if where.type == "cuda" else processor()


def _make_frames(videos: Sequence[Path], short_side_px: int, frames: int, output: Path) -> None:
    """Write the first `frames` frames (0: all) of each video as a shard."""
    from mml_core.video.decode import DecodedVideo

    with ShardWriter(output, ShardInfo("rgb", "rgb", {"quality": 90})) as writer:
        for path in videos:
            decoded = list(DecodedVideo(path, short_side_px, Limits(), end=frames or None))
            height, width = decoded[0].shape[:2]
            images = [encode_rgb(frame, 90) for frame in decoded]
            writer.add(str(path), images, height=height, width=width, frame_rate=25.0)


def _count_and_size(shard: Path) -> tuple[int, str]:
    with ShardReader(shard) as reader:
        entries = reader.videos.values()
        sizes = sorted({f"{entry.width}x{entry.height}" for entry in entries})
        return sum(entry.count for entry in entries), " ".join(sizes)


def _flow_rate(rgb: Path, name: str, threads: int, device: torch.device, folder: Path) -> tuple[str, float, float, str]:
    """Return what computed it, seconds without compilation, those of compilation, and the shares."""
    algorithm: FlowAlgorithm = OTHERS.get(name, Tvl1())
    engine = "auto" if name in OTHERS else name
    settings, output, began = FlowModality(algorithm=algorithm), folder / f"{name}.h5", time.perf_counter()
    times = make_flow_shard(rgb, name, settings, output, threads, engine=engine, device=device)
    elapsed, seconds = times.elapsed, times.seconds
    compiling = time.perf_counter() - began - elapsed
    with ShardReader(output) as shard:
        computed = name if name in OTHERS else f"tvl1 {shard.info.software['engine']}"
    shares = ", ".join(f"{part} {seconds[part] / sum(seconds.values()):.1%}" for part in PARTS)
    return computed, elapsed, compiling, shares


def _vector_rate(videos: Sequence[Path], short_side_px: int, threads: int, folder: Path) -> tuple[int, str, float]:
    """Return frames, sizes and seconds of the motion vectors of whole videos."""
    from mml_core.modalities.motion_vectors import make_motion_vector_shard
    from mml_core.modalities.rgb import make_rgb_shard

    rgb, named = folder / "whole.h5", {str(path): path for path in videos}
    make_rgb_shard(named, "rgb", RgbModality(short_side_px=short_side_px), Limits(), rgb, threads)
    began = time.perf_counter()
    make_motion_vector_shard(rgb, named, "motion_vectors", VECTORS, Limits(), folder / "vectors.h5", threads)
    return *_count_and_size(folder / "vectors.h5"), time.perf_counter() - began


def _decoding_rates(shard: Path, threads: int, device: torch.device) -> Iterator[tuple[str, int, float]]:
    """Yield what decodes, with how many threads, and frames a second; the fastest of three times."""
    with h5py.File(shard) as file:
        offsets, payload = file["offsets"][()], torch.from_numpy(file["payload"][()])
    images = [payload[first:last] for first, last in pairwise(offsets)]
    calls = [images[first : first + _JPEGS_A_CALL] for first in range(0, len(images), _JPEGS_A_CALL)]

    def on_processor(image: torch.Tensor) -> torch.Tensor:
        return decode_jpeg(image, ImageReadMode.RGB)

    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield "libjpeg", threads, len(images) / min(_seconds(lambda: list(pool.map(on_processor, images)), 3))
    if device.type == "cuda":

        def on_gpu() -> None:
            for call in calls:
                decode_jpeg(call, ImageReadMode.RGB, device=device)
            torch.cuda.synchronize(device)

        yield "nvJPEG", 1, len(images) / min(_seconds(on_gpu, 3))


def _seconds(work: Callable[[], object], repetitions: int) -> list[float]:
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times


def _measure(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    device = torch.device(options.device)
    versions = f"torch {torch.__version__}, torchvision {version('torchvision')}"
    about = (datetime.datetime.now(datetime.UTC).date().isoformat(), _device(device), versions)
    rgb, threads = options.inputs[0], options.threads
    if rgb.suffix != ".h5":
        rgb = folder / "rgb.h5"
        _make_frames(options.inputs, options.short_side_px, options.frames, rgb)
    frames, size = _count_and_size(rgb)
    for name, used, rate in _decoding_rates(rgb, threads, device):
        yield Row(*about, "decode", name, used, frames, size, round(rate, 1), 0.0, "")
    for name in options.flows:
        if name == "motion_vectors":
            count, sizes, seconds = _vector_rate(options.inputs, options.short_side_px, threads, folder)
            yield Row(*about, "flow", name, threads, count, sizes, round(count / seconds, 1), 0.0, "")
            continue
        computed, seconds, compiling, shares = _flow_rate(rgb, name, threads, device, folder)
        rate = round(frames / seconds, 2)
        yield Row(*about, "flow", computed, threads, frames, size, rate, round(compiling, 1), shares)


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=Path, nargs="+", help="videos, or one shard of decoded frames (.h5)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--frames", type=int, default=0, help="of each video, from its beginning; 0: all")
    parser.add_argument("--short-side-px", type=int, default=256)
    choices = ("auto", "triton", "numba", "torch", "opencv", *OTHERS, "motion_vectors")
    parser.add_argument("--flows", nargs="+", choices=choices, default=["auto"])
    options = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        for row in _measure(options, Path(folder)):
            writer.writerow(row)
            print(
                f"{row.kind} {row.name}: {row.frames_per_sec} frames/s with {row.threads} threads; {row.shares}",
                flush=True,
            )


if __name__ == "__main__":
    main()
