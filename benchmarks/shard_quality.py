"""Bytes per image and error of every modality at a JPEG quality, measured on videos of your choice.

Prints a row per video and modality and appends it to benchmarks/results/shard_quality.csv:
psnr_db compares decoded levels with those before JPEG (peak 255, mean over images); the errors compare decoded values
with exact ones, so they include the rounding to levels (rgb and differences: grey levels; flow: pixels a frame).
snr_db is the ratio of the mean squares of exact values and of errors, and snr_levels_db that of rounding to levels
alone, over all images of a video together; both are empty for rgb, whose zero is black.
"""

from __future__ import annotations

import argparse
import csv
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray

from benchmarks.machine import processor
from mml_core.config.dataset import FlowModality, Limits
from mml_core.flow import choose_engine, optical_flow
from mml_core.flow.grey import to_grey
from mml_core.modalities.quantise import difference_to_levels, flow_to_levels, levels_to_difference, levels_to_flow
from mml_core.shards.decode import decode_image
from mml_core.shards.images import encode_planes, encode_rgb
from mml_core.video.decode import DecodedVideo
from mml_core.video.ffmpeg import ffmpeg_version

RESULTS = Path(__file__).parent / "results" / "shard_quality.csv"
Array = NDArray[np.generic]


class Row(NamedTuple):
    """A row of the table."""

    date: str
    device: str
    versions: str
    video: str
    modality: str
    quality: int
    height: int
    width: int
    images: int
    bytes_per_image: int
    psnr_db: float
    mean_error: float
    p95_error: float
    snr_levels_db: float | None
    snr_db: float | None


def _middle_frames(path: Path, short_side_px: int, count: int) -> list[Array]:
    frames = list(DecodedVideo(path, short_side_px, Limits()))
    first = max(0, (len(frames) - count) // 2)
    return frames[first : first + count]


def _decoded(images: list[bytes], kind: str, height: int, width: int) -> Array:
    return np.stack([decode_image(np.frombuffer(image, np.uint8), kind, height, width) for image in images])


def _psnr_db(levels: Array, decoded: Array) -> float:
    squares = np.square(levels.astype(float) - decoded).mean((1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(squares, 1e-3))))


def _snr_db(exact: Array, error: Array) -> float:
    return float(round(10 * np.log10(np.square(exact, dtype=float).mean() / np.square(error, dtype=float).mean()), 2))


def _measure(path: Path, options: argparse.Namespace) -> Iterator[Row]:
    frames = _middle_frames(path, options.short_side_px, options.frames)
    height, width, _ = frames[0].shape
    about = (
        datetime.datetime.now(datetime.UTC).date().isoformat(),
        processor(),
        f"simplejpeg {simplejpeg.__version__}, opencv {cv2.__version__}, ffmpeg {ffmpeg_version()}",
        path.name,
    )

    def row(kind: str, images: list[bytes], psnr_db: float, error: Array, *snr_db: float | None) -> Row:
        size = round(np.mean([len(image) for image in images]))
        mean, p95 = float(np.abs(error).mean()), float(np.percentile(np.abs(error), 95))
        rest = (len(images), size, round(psnr_db, 2), round(mean, 4), round(p95, 4))
        return Row(*about, kind, options.quality, height, width, *rest, *snr_db)

    images = [encode_rgb(frame, options.quality) for frame in frames]
    exact = np.stack(frames).transpose(0, 3, 1, 2)
    stored = _decoded(images, "rgb", height, width)
    yield row("rgb", images, _psnr_db(exact, stored), exact.astype(int) - stored, None, None)

    differences = np.diff(stored.astype(np.int16), axis=0)
    levels = difference_to_levels(differences)
    images = [encode_planes(level, options.quality) for level in levels]
    decoded = _decoded(images, "diff", height, width)
    rounding, error = (levels_to_difference(values) - differences for values in (levels, decoded))
    snr_db = _snr_db(differences, rounding), _snr_db(differences, error)
    yield row("diff", images, _psnr_db(levels, decoded), error, *snr_db)

    if options.without_flow:
        return
    modality = FlowModality()
    fields = optical_flow([to_grey(torch.from_numpy(stored))], choose_engine(modality.algorithm, "opencv"))[0]
    levels, flow = flow_to_levels(fields, modality.bound_px).numpy(), fields.numpy()
    images = [encode_planes(level, options.quality) for level in levels]
    decoded = _decoded(images, "flow", height, width)
    clipped = np.clip(flow, -modality.bound_px, modality.bound_px)
    rounding, error = (levels_to_flow(values, modality.bound_px) - clipped for values in (levels, decoded))
    snr_db = _snr_db(clipped, rounding), _snr_db(clipped, error)
    yield row("flow", images, _psnr_db(levels, decoded), error, *snr_db)


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--short-side-px", type=int, default=256)
    parser.add_argument("--quality", type=int, default=90)
    parser.add_argument("--frames", type=int, default=12, help="neighbouring frames from the middle of each video")
    parser.add_argument("--without-flow", action="store_true", help="frames and differences alone")
    options = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        for path in options.videos:
            for row in _measure(path, options):
                writer.writerow(row)
                print(*row[3:], flush=True)


if __name__ == "__main__":
    main()
