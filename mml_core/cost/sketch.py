"""Networks that are described and never made: only shapes are computed (torch's meta device)."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mml_core.clips import input_channels
from mml_core.clips.levels import window_samples
from mml_core.config.base import canonical_json
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import DatasetConfig
from mml_core.config.networks import WHOLE, NetworkBase
from mml_core.config.stage import StageConfig
from mml_core.networks import ClipShape, VideoNetwork, build_network, gflops_per_clip

#: Keys of a network that make no difference to its shapes.
_NO_SHAPE = {"init", "reset_head", "frozen", "scale", "colours"}


@dataclass(frozen=True)
class Sketch:
    """A network and what it sees of a video; networks that are built alike have equal sketches."""

    block: NetworkBase = field(compare=False)
    shape: str  # all of the block that its shapes depend on, as JSON
    kinds: tuple[str, ...]  # of its inputs
    channels: tuple[int, ...]  # of an input frame of each of its inputs
    samples: tuple[int, ...]  # of a window of sound of each of its inputs, 0 of pictures
    sound_sec: float  # of such a window; 0 where it hears nothing
    frames: int  # T of a segment
    segments: int
    classes: int

    def inputs(self, side: int) -> list[tuple[int, int, int, int]]:
        """Return the shapes (S * T, C, H, W) of a clip in its inputs, for square crops of `side` pixels.

        Of sound they are (S, 1, 1, W).
        """
        frames = self.segments * self.frames
        inputs = zip(self.channels, self.samples, strict=True)
        return [(self.segments, 1, 1, heard) if heard else (frames, seen, side, side) for seen, heard in inputs]


class Learning(NamedTuple):
    """Parts of a network that learn in an epoch, and parts of these that never do; `WHOLE` is the network."""

    parts: tuple[str, ...]
    frozen: tuple[str, ...] = ()


def make_sketch(block: NetworkBase, clip: ClipConfig, segments: int, dataset: DatasetConfig, classes: int) -> Sketch:
    """Return the sketch of a network of a stage that is trained on `dataset`."""
    kinds = tuple(dataset.modalities[name].kind for name in block.modalities)
    rates = [dataset.sample_rate_hz(name) for name in block.modalities]
    shape = {key: value for key, value in block.model_dump(mode="json").items() if key not in _NO_SHAPE}
    return Sketch(
        block=block,
        shape=canonical_json(shape),
        kinds=kinds,
        channels=tuple(input_channels(kind, clip.stack) for kind in kinds),
        samples=tuple(window_samples(clip.sound_sec, rate) if rate else 0 for rate in rates),
        sound_sec=clip.sound_sec if any(rates) else 0.0,
        frames=clip.frames,
        segments=segments,
        classes=classes,
    )


def learning_by_turn(config: StageConfig, name: str) -> list[Learning]:
    """Return what learns of a stage's network in the epochs of each turn; without turns there is one."""
    block = config.networks[name]
    if block.is_teacher:
        return [Learning(())]
    if not config.turns:
        return [Learning((WHOLE,), block.frozen_parts)]
    named = [[reference.partition(".") for reference in turn.parts] for turn in config.turns]
    return [Learning(tuple(part for one, _, part in turn if one == name), block.frozen_parts) for turn in named]


@functools.cache
def _built(sketch: Sketch) -> VideoNetwork:
    channels = dict(zip(sketch.block.modalities, sketch.channels, strict=True))
    with torch.device("meta"):
        return build_network(
            sketch.block,
            ClipShape(sketch.frames, channels, sketch.segments, sketch.sound_sec),
            classes=sketch.classes,
        ).eval()


def learning_network(sketch: Sketch, learning: Learning) -> VideoNetwork:
    """Return the network of `sketch` in an epoch in which only `learning` learns: all else is as in testing."""
    network = copy.deepcopy(_built(sketch)).requires_grad_(False)
    for part in learning.parts:
        network.get_submodule(part).train().requires_grad_(True)
    for part in learning.frozen:
        network.get_submodule(part).eval().requires_grad_(False)
    return network


@functools.cache
def forward_gflops(sketch: Sketch, side: int) -> float:
    """Return the GFLOPs (1e9 multiply-accumulates) of one forward pass over a clip in crops of `side` pixels."""
    return gflops_per_clip(_built(sketch), *sketch.inputs(side))


@functools.cache
def step_passes(sketch: Sketch, side: int, learning: Learning) -> float:
    """Return how many forward passes, as in testing, a step in which `learning` learns counts as.

    That is 1 to 3, and more where training runs what testing does not (a source that is there in training only). The
    pass computes the gradients of a layer's inputs and of its weights, each at the cost of the layer's forward
    pass: a layer that learns counts three times. A frozen one counts twice where gradients go through it to what learns
    in front of it, and once where nothing in front of it learns.
    """
    if learning == Learning((WHOLE,)) and sketch.block.tested_modalities == sketch.block.modalities:
        return 3.0
    network, weights = learning_network(sketch, learning), {}
    for name, module in network.named_modules():
        if not next(module.children(), None):
            module.register_forward_pre_hook(functools.partial(_note_passes, weights, name))
    with FlopCounterMode(display=False) as counter:
        network(*(torch.empty((1, *shape), device="meta") for shape in sketch.inputs(side)))
    flops, root = counter.get_flop_counts(), type(network).__name__
    backward = sum(passes * sum(flops.get(f"{root}.{name}", {}).values()) for name, passes in weights.items())
    # a multiply-accumulate is two operations
    return (counter.get_total_flops() + backward) / (2e9 * forward_gflops(sketch, side))


def _note_passes(passes: dict[str, int], name: str, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Note how many forward passes the backward pass of a layer counts as."""
    learns = any(parameter.requires_grad for parameter in layer.parameters(recurse=False))
    passes[name] = 2 if learns else int(_has_gradient(inputs))


def _has_gradient(inputs: Any) -> bool:
    """Return whether gradients go to what a layer takes: a tensor, several, or nothing, as an LSTM's first state is."""
    if isinstance(inputs, tuple):
        return any(map(_has_gradient, inputs))
    return isinstance(inputs, torch.Tensor) and inputs.requires_grad
