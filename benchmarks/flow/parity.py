"""How close the TV-L1 engines come to OpenCV's own TV-L1 on the processor, on the same frames in the same run.

Prints a table and appends it to benchmarks/results/flow_parity.csv: a row for each engine, variant, size and clip, and
one for all clips together. End point errors are in pixels; "within_level" is the share of the values that differ by at
most one of 255 levels at ±20 pixels. The floor is OpenCV against itself with noise of 0.001 grey levels on the frames:
what an engine may differ by for rounding alone. Clips are the synthetic ones where no video is named.

    python -m benchmarks.flow.parity videos/*.mp4
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import torch

from benchmarks.flow.clips import Clip, resized, synthetic_clips, video_clips
from benchmarks.machine import processor
from mml_core.flow import Tvl1, choose_engine, pixel_iterations
from mml_core.flow.levels import level_sizes
from mml_core.flow.parity import Parity, compare

RESULTS = Path(__file__).parents[1] / "results" / "flow_parity.csv"
NOISE = 0.001
ALL = "all"


class Result(NamedTuple):
    """Flow of a clip, and its work where the engine tells."""

    flow: torch.Tensor  # (P, 2, H, W), CPU
    iterations: torch.Tensor | None  # (P,)
    px_iterations: torch.Tensor | None  # (P,)


class Contestant(NamedTuple):
    """Something that computes flow."""

    name: str
    variant: str
    solve: Callable[[Clip], Result]


class Row(NamedTuple):
    """A row of the table."""

    date: str
    machine: str
    versions: str
    engine: str
    variant: str
    reference: str
    size: str
    clip: str
    pairs: int
    mean_px: float
    median_px: float
    p95_px: float
    within_level: float
    iterations_per_pair: int | str
    mpx_iterations_per_pair: float | str


def own_contestant(name: str, variant: str, device: torch.device) -> Contestant:
    """Return an engine of the project's own."""
    settings = Tvl1(variant=variant)
    engine = choose_engine(settings, name, device=device)

    def solve(clip: Clip) -> Result:
        solution = engine.solve(clip.frames.to(engine.device), clip.pairs)
        sizes = level_sizes(*clip.frames.shape[1:], settings.scales, settings.scale_step)
        work = pixel_iterations(solution.iterations, sizes)
        return Result(solution.flow.cpu(), solution.iterations.sum((1, 2)), work)

    return Contestant(name, variant, solve)


def opencv(noise: float) -> Contestant:
    """Return OpenCV, with noise of so many grey levels, normally distributed, on its frames."""
    engine, generator = choose_engine(Tvl1(), "opencv"), torch.Generator().manual_seed(0)

    def solve(clip: Clip) -> Result:
        frames = clip.frames
        if noise:
            frames = (frames + noise * torch.randn(frames.shape, generator=generator)).clamp(0, 255)
        return Result(engine(frames, clip.pairs), None, None)

    return Contestant(f"opencv, noise {noise}", "opencv", solve)


def measure(contestants: Sequence[Contestant], clips: Sequence[Clip], about: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of clips of one size."""
    height, width = clips[0].frames.shape[1:]
    references = [opencv(0).solve(clip).flow for clip in clips]
    for name, variant, solve in contestants:
        results = [solve(clip) for clip in clips]
        for label, part in [*((clip.name, [index]) for index, clip in enumerate(clips)), (ALL, range(len(clips)))]:
            some = [results[index] for index in part]
            flow = torch.cat([result.flow for result in some])
            parity = compare(flow, torch.cat([references[index] for index in part]))
            start = (*about, name, variant, f"opencv {cv2.__version__}", f"{width}x{height}", label, len(flow))
            yield Row(*start, *(float(f"{value:.4g}") for value in parity), *_work(some))


def _work(results: Sequence[Result]) -> tuple[int | str, float | str]:
    if any(result.iterations is None or result.px_iterations is None for result in results):
        return "", ""
    iterations = torch.cat([result.iterations for result in results]).double().mean().item()
    return round(iterations), round(torch.cat([r.px_iterations for r in results]).double().mean().item() / 1e6, 2)


def show(row: Row) -> None:
    """Print a row."""
    parity = Parity(row.mean_px, row.median_px, row.p95_px, row.within_level)
    print(
        f"{row.size:8} {row.engine:19} {row.variant:11} {row.clip[:26]:26} median {parity.median_px:.4f} "
        f"mean {parity.mean_px:.4f} p95 {parity.p95_px:.4f} within 1 level {100 * parity.within_level:.2f} % "
        f"iterations {row.iterations_per_pair or '-'}",
        flush=True,
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(height), int(width)


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*")
    parser.add_argument("--engines", nargs="+", default=["torch", "numba"], help="also triton, on a GPU")
    parser.add_argument("--variants", nargs="+", default=["opencv", "opencv-cuda"])
    parser.add_argument("--sizes", type=_size, nargs="+", default=[(256, 340), (224, 224)], metavar="WIDTHxHEIGHT")
    parser.add_argument("--pairs", type=int, default=4, help="of each clip, from its middle")
    parser.add_argument("--stride", type=int, default=1, help="take every so many-th frame")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = f"torch {torch.__version__}, numba {importlib.metadata.version('numba')}, opencv {cv2.__version__}"
    about = (date, processor(), versions)
    contestants = [
        own_contestant(name, variant, options.device) for variant in options.variants for name in options.engines
    ]
    videos = video_clips(options.videos, options.pairs + 1, options.stride)
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        for height, width in options.sizes:
            clips = videos or synthetic_clips(height, width, options.pairs + 1)
            clips = [resized(clip, height, width, options.pairs + 1) for clip in clips]
            for row in measure([opencv(NOISE), *contestants], clips, about):
                writer.writerow(row)
                show(row)


if __name__ == "__main__":
    main()
