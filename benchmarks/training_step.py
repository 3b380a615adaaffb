"""What benchmarks/training_rates.py times: steps of the stage engine and forward passes, of clips on the device.

A step is made of the engine's own parts (mml_core/training/engine.py): 8-bit clips are normalised on the device, then
forward, objective, one backward pass, the statistics of batch normalisation, clipping and SGD.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from pydantic import TypeAdapter
from torch import Tensor

from mml_core.clips import input_channels, normalise
from mml_core.config.learning import SgdConfig
from mml_core.config.networks import NetworkConfig
from mml_core.config.networks.base import OneStream
from mml_core.config.objectives import CrossEntropyConfig, MutualConfig
from mml_core.config.stage import StageConfig
from mml_core.networks import ClipShape, VideoNetwork, build_network, gflops_per_clip
from mml_core.objectives import build_objective
from mml_core.training.batch_norm import group_batch_norm, settle
from mml_core.training.compiled import compiled
from mml_core.training.learners import make_learners
from mml_core.training.precision import half_type
from mml_core.training.processes import ALONE
from mml_core.training.sums import total

WARM_UP = 2
CLASSES = 174
#: So small that networks do not come to know these clips: gradients would become denormal numbers, which a processor is
#: many times slower with.
LEARNING_RATE = 1e-6

Step = Callable[[], None]
Key = TypeVar("Key", bound=Hashable)


class Network(NamedTuple):
    """A network of the command line."""

    config: OneStream
    kind: str
    frames: int
    crop_px: int
    text: str


class Subject(NamedTuple):
    """A network on a device with the clips (B, T, C, H, W), 8-bit, that it sees."""

    config: OneStream
    network: VideoNetwork
    levels: Tensor
    kind: str
    gflops: float  # of a clip

    def forward(self, model: Callable[..., object]) -> object:
        """Return what `model`, the network or something in its place, says about the clips."""
        return model(normalise(self.levels, self.kind))


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
        case _:
            own = {"backbone": size} if size else {}
    block = {"architecture": architecture, "modality": kind, "init": "random", **own}
    return Network(TypeAdapter(NetworkConfig).validate_python(block), kind, int(frames), int(crop_px), text)


def build(network: Network, *, batch: int, stack: int, device: torch.device) -> Subject:
    """Return the network with random weights on `device`, and as many random clips."""
    channels = input_channels(network.kind, stack)
    built = build_network(network.config, ClipShape(network.frames, {network.kind: channels}), classes=CLASSES)
    shape = (network.frames, channels, network.crop_px, network.crop_px)
    gflops = gflops_per_clip(built, shape)
    built = built.to(device, memory_format=built.memory_format)
    levels = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8, device=device)
    return Subject(network.config, built, levels, network.kind, gflops)


def training_step(subjects: Sequence[Subject], precision: str, *, compile_it: bool = False) -> Step:
    """Return a function that trains `subjects` by one step: one by cross-entropy, several by mutual learning.

    Where torch is to compile it, call it within `compiling`.
    """
    named = {f"net{number}": one for number, one in enumerate(subjects)}
    config = StageConfig(
        networks={name: one.config for name, one in named.items()},
        objective=MutualConfig() if len(named) > 1 else CrossEntropyConfig(),
        optimizer=SgdConfig(learning_rate=LEARNING_RATE),
        precision=precision,
    )
    device = subjects[0].levels.device
    networks = {name: one.network for name, one in named.items()}
    norms = [norm for network in networks.values() for norm in group_batch_norm(network, None)]
    learners = make_learners(config, networks, dict.fromkeys(networks, True), device)
    objective = build_objective(config.objective, multi_label=False)
    half = half_type(precision, device)
    labels = torch.randint(0, CLASSES, (len(subjects[0].levels),), device=device)
    for learner in learners.values():
        learner.start()
    models = {name: compiled(network) if compile_it else network for name, network in networks.items()}

    def step() -> None:
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            said = {name: one.forward(models[name]) for name, one in named.items()}
        losses = objective(said, labels, {})
        scaled = [learner.scaler.scale(total(losses[name])) for name, learner in learners.items()]
        torch.stack(scaled).sum().backward()
        for norm in norms:
            norm.gather(1.0)
        settle(norms, ALONE)
        for learner in learners.values():
            learner.unscale()
        for learner in learners.values():
            learner.update(1.0)

    return step


def forward_pass(subject: Subject, precision: str) -> Step:
    """Return a function that predicts for the clips, as in testing."""
    subject.network.eval()
    device = subject.levels.device
    half = half_type(precision, device)

    def step() -> None:
        with torch.no_grad(), torch.autocast(device.type, dtype=half, enabled=half is not None):
            subject.forward(subject.network)

    return step


def seconds_per_step(
    steps: Mapping[Key, Step], count: int, device: torch.device, clock: Callable[[], float]
) -> dict[Key, float]:
    """Return the median time in seconds of each of `steps`, which take `count` turns behind some that warm up."""
    times: dict[Key, list[float]] = {name: [] for name in steps}
    for _ in range(WARM_UP + count):
        for name, step in steps.items():
            began = clock()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append(clock() - began)
    return {name: statistics.median(values[WARM_UP:]) for name, values in times.items()}


def clock_of(*, processor_time: bool) -> Callable[[], float]:
    """Return the clock: of the wall, or of what this thread alone computed."""
    return time.thread_time if processor_time else time.perf_counter
