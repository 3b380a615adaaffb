"""Rates of the workflow's steps on this machine, one thread each: what the README's estimates are made from.

Prints a row per step and appends it to benchmarks/results/rates.csv. Decoding is compared with a peer on the same
input in the same run: OpenCV's VideoCapture with resize and imencode at the same size and quality (it decodes on all
cores and in the process itself; ours in a process apart that damage cannot crash, with checksums). Training is a step
(forward, backward, update) of TSM-ResNet-50 with 8 frames of 224 px on the device that torch finds.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import torch

from benchmarks.machine import processor
from mml_core.config.dataset import DiffModality, FlowModality, Limits, RgbModality
from mml_core.config.learning import SgdConfig
from mml_core.config.networks import ResNetNetwork
from mml_core.modalities.diff import make_diff_shard
from mml_core.modalities.flow import make_flow_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.networks import ClipShape, build_network, parameter_groups
from mml_core.shards import ShardReader
from mml_core.video.ffmpeg import ffmpeg_version

RESULTS = Path(__file__).parent / "results" / "rates.csv"
SHORT_SIDE_PX = 256
QUALITY = 90


class Row(NamedTuple):
    """A row of the table; `ratio` is this project's rate over the peer's."""

    date: str
    device: str
    versions: str
    step: str
    unit: str
    rate: float
    peer: str
    ratio: str


def _peer_decode(video: Path) -> int:
    """Decode, resize and encode with OpenCV; return the number of frames."""
    capture, count = cv2.VideoCapture(str(video)), 0
    while True:
        good, frame = capture.read()
        if not good:
            return count
        scale = SHORT_SIDE_PX / min(frame.shape[:2])
        resized = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        cv2.imencode(".jpg", resized, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        count += 1


def _images(shard: Path) -> int:
    with ShardReader(shard) as reader:
        return sum(entry.count for entry in reader.videos.values())


def _media_rates(videos: list[Path], folder: Path) -> Iterator[tuple[str, str, float, str, str]]:
    rgb, diff, flow = (folder / f"{name}.h5" for name in ("rgb", "diff", "flow"))
    began = time.perf_counter()
    named = {path.name: path for path in videos}
    make_rgb_shard(named, "rgb", RgbModality(short_side_px=SHORT_SIDE_PX, quality=QUALITY), Limits(), rgb, threads=1)
    ours = _images(rgb) / (time.perf_counter() - began)
    began = time.perf_counter()
    theirs = sum(_peer_decode(path) for path in videos) / (time.perf_counter() - began)
    yield "decode to shard", "frames/s", ours, "OpenCV VideoCapture + imencode", f"{ours / theirs:.2f}"
    began = time.perf_counter()
    make_diff_shard(rgb, "diff", DiffModality(), diff, threads=1)
    yield "differences", "pairs/s", _images(diff) / (time.perf_counter() - began), "", ""
    began = time.perf_counter()
    make_flow_shard(rgb, "flow", FlowModality(), flow, threads=1)
    with ShardReader(flow) as shard:
        engine = shard.info.software["engine"]
    yield f"TV-L1 flow ({engine})", "pairs/s", _images(flow) / (time.perf_counter() - began), "", ""


def _training_rate(batch: int) -> tuple[str, str, float, str, str]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    config = ResNetNetwork(modality="rgb", init="random")
    network = build_network(config, ClipShape(8, {"rgb": 3}), classes=174)
    network = network.to(device, memory_format=network.memory_format)
    optimizer = torch.optim.SGD(parameter_groups(network, SgdConfig(), new_head=True), momentum=0.9)
    clips, labels = torch.randn(batch, 8, 3, 224, 224, device=device), torch.zeros(batch, dtype=torch.long).to(device)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.float16, enabled=device.type == "cuda"):
            loss = torch.nn.functional.cross_entropy(network(clips).logits, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    return f"training TSM-ResNet-50, 8 x 224 px ({name})", "clips/s", batch / min(times), "", ""


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--batch", type=int, default=2, help="clips of a training step")
    options = parser.parse_args()
    versions = f"torch {torch.__version__}, opencv {cv2.__version__}, ffmpeg {ffmpeg_version()}"
    about = (datetime.datetime.now(datetime.UTC).date().isoformat(), processor(), versions)
    RESULTS.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        for step, unit, rate, peer, ratio in (
            *_media_rates(options.videos, Path(folder)),
            _training_rate(options.batch),
        ):
            writer.writerow(Row(*about, step, unit, round(rate, 3), peer, ratio))
            print(f"{step}: {rate:.3g} {unit}" + (f", {ratio} times {peer}" if peer else ""), flush=True)


if __name__ == "__main__":
    main()
