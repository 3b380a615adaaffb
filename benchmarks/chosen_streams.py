"""What choosing saves: an AdaMML network in testing at given shares of segments, against the same one computing all.

Prints a row for each share and appends it to benchmarks/results/chosen_streams.csv. The policy runs as it is, but its
decisions are replaced: each stream is chosen for `share` of all segments of a batch, spread evenly. `everything`
computes all streams in all segments and multiplies what was not chosen by 0, as the authors' program does. Both take
turns at the same random clips, which lie on the device, so that what else the machine does is shared; the median of
each counts. `ratio` is the time of choosing to that of computing everything, `by_gflops` the ratio of their GFLOPs:
above it, gathering segments and smaller batches cost something.

  python -m benchmarks.chosen_streams --backbone resnet18 --crop 80 --policy-px 64 --batch 2 --steps 3 --processor-time
"""

from __future__ import annotations

import argparse
import copy
import csv
import datetime
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from benchmarks.machine import processor
from mml_core.config.networks import NetworkConfig
from mml_core.config.networks.base import ResNet
from mml_core.networks import ClipShape, Prediction, build_network
from mml_core.networks.adamml import AdaMml
from mml_core.networks.cost import Cost, cost_of_scores

RESULTS = Path(__file__).parent / "results" / "chosen_streams.csv"
CLASSES = 31
SOUND_SAMPLES = 30_720  # 1.28 s at 24 kHz
CHANNELS = {"rgb": 3, "audio": 1}
SHARES = (0.0, 0.25, 0.5, 1.0)
WARM_UP = 2


class Forced(nn.Module):
    """A policy that computes what it computes, and then says what it is told."""

    def __init__(self, policy: nn.Module, choices: Tensor) -> None:
        super().__init__()
        self.policy, self.looks, self.choices = policy, policy.looks, choices

    def forward(self, seen: dict[str, Tensor]) -> Tensor:
        """Return scores (B, S, M, 2) by which `choices` (B, S, M) is decided."""
        self.policy(seen)
        return torch.stack([1 - self.choices, self.choices], dim=-1)


def computing_everything(network: AdaMml) -> AdaMml:
    """Return a copy of `network` that computes all segments in testing too: what was not chosen is multiplied by 0."""
    twin = copy.deepcopy(network)

    def said(name: str, clips: Tensor, choice: Tensor) -> Prediction:
        whole = twin.streams[name](clips.unflatten(1, (choice.shape[1], -1)).flatten(0, 1))
        return Prediction(*(one.unflatten(0, choice.shape) for one in (whole.logits, whole.features)))

    twin._said = said
    return twin


def even_choices(share: float, videos: int, segments: int, streams: int) -> Tensor:
    """Return choices (B, S, M), 0 or 1: each stream in `share` of all segments, as evenly spread as can be."""
    numbers = torch.arange(1, videos * segments + 1, dtype=torch.float64)
    chosen = (numbers * share).floor() > ((numbers - 1) * share).floor()
    return chosen.float().reshape(videos, segments, 1).repeat(1, 1, streams)


def make_network(options: argparse.Namespace) -> AdaMml:
    """Return a network over frames and sound with random weights, in the mode of testing."""
    block = {
        "architecture": "adamml",
        "streams": list(CHANNELS),
        "backbones": {"rgb": options.backbone, "audio": "mobilenet_v2"},
        "policy_px": options.policy_px,
        "init": "random",
    }
    config = TypeAdapter(NetworkConfig).validate_python(block)
    return build_network(config, ClipShape(options.frames, CHANNELS), classes=CLASSES).eval()


def cost_of(network: AdaMml, options: argparse.Namespace) -> Cost:
    """Return what a clip takes."""
    frames = (options.segments * options.frames, 3, options.crop, options.crop)
    return cost_of_scores(network, "", frames, (options.segments, 1, 1, SOUND_SAMPLES))


@torch.no_grad()
def seconds_of_each(
    networks: Mapping[str, AdaMml], options: argparse.Namespace, device: torch.device
) -> dict[str, float]:
    """Return the median time of a batch of each network, in seconds; they take turns."""
    shape = (options.batch, options.segments * options.frames)
    clips = (
        torch.randn(*shape, 3, options.crop, options.crop, device=device),
        torch.rand(options.batch, options.segments, 1, 1, SOUND_SAMPLES, device=device) * 2 - 1,
    )
    clock = time.thread_time if options.processor_time else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(WARM_UP + options.steps):
        for name, one in networks.items():
            began = clock()
            with torch.autocast(device.type, dtype=torch.float16, enabled=device.type == "cuda"):
                one(*clips)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append(clock() - began)
    return {name: statistics.median(own[WARM_UP:]) for name, own in times.items()}


def measure(share: float, network: AdaMml, cost: Cost, options: argparse.Namespace) -> dict[str, object]:
    """Return the row of one share."""
    device = torch.device(options.device)
    choices = even_choices(share, options.batch, options.segments, len(CHANNELS)).to(device)
    choosing = copy.deepcopy(network)
    choosing.policy = Forced(network.policy, choices).eval()
    seconds = seconds_of_each({"choosing": choosing, "everything": computing_everything(choosing)}, options, device)
    how = ", processor time" if options.processor_time else ""
    threads = f"{processor()}, {options.threads} thread{'s' if options.threads > 1 else ''}{how}"
    gflops = float(cost.by_choices(choices.cpu().numpy()).mean())
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else threads,
        "streams": "+".join(CHANNELS),
        "backbone": options.backbone,
        "segments": options.segments,
        "frames": options.frames,
        "crop_px": options.crop,
        "policy_px": options.policy_px,
        "batch": options.batch,
        "share": f"{float(choices.mean()):.4g}",
        **{f"{name}_videos_per_s": f"{options.batch / value:.4g}" for name, value in seconds.items()},
        "choosing_gflops": f"{gflops:.4f}",
        "everything_gflops": f"{cost.gflops:.4f}",
        "ratio": f"{seconds['choosing'] / seconds['everything']:.3f}",
        "by_gflops": f"{gflops / cost.gflops:.3f}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "software": f"torch {torch.__version__}",
    }


def main(words: list[str] | None = None) -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=get_args(ResNet), default="resnet50", help="of the stream of frames")
    parser.add_argument("--crop", type=int, default=224, help="side of the square input in pixels")
    parser.add_argument("--policy-px", type=int, default=160, help="side of the frames that the policy sees")
    parser.add_argument("--segments", type=int, default=10)
    parser.add_argument("--frames", type=int, default=8, help="frames of a segment")
    parser.add_argument("--batch", type=int, default=8, help="videos of a batch")
    parser.add_argument("--steps", type=int, default=20, help="batches of each network that count")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="on a processor")
    parser.add_argument("--processor-time", action="store_true", help="on a processor that does other work beside")
    parser.add_argument("--output", type=Path, default=RESULTS, help="CSV file that rows are appended to")
    options = parser.parse_args(words)
    if options.processor_time and (options.device, options.threads) != ("cpu", 1):
        parser.error("--processor-time is for one thread on a processor")
    torch.set_num_threads(options.threads)
    network = make_network(options)
    cost = cost_of(network, options)
    network.to(options.device, memory_format=network.memory_format)
    options.output.parent.mkdir(exist_ok=True)
    with options.output.open("a", newline="", encoding="utf-8") as file:
        for share in SHARES:
            row = measure(share, network, cost, options)
            writer = csv.DictWriter(file, row, lineterminator="\n")
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
            print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
