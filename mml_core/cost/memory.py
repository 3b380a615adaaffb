"""The memory of one GPU that a stage of training takes: an estimate from shapes alone, not yet measured on a GPU.

After a group's forward passes it holds what autograd saved in them (`mml_core.networks.memory.saved_bytes`), the
inputs, and what stays from step to step: weights, their gradients and the optimiser's state, in float32. Beyond it are
CUDA's own memory and what convolutions take as they run.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mml_core.config.learning import OptimizerConfig, SgdConfig
from mml_core.config.stage import StageConfig
from mml_core.cost.sketch import Learning, Sketch, learning_by_turn, learning_network
from mml_core.errors import InputError
from mml_core.networks.memory import saved_bytes
from mml_core.training.micro_batches import cut, processes_per_group

FLOAT32 = 4
#: GB of a GPU by a part of its name, where the name itself does not say, as in `NVIDIA A100-SXM4-40GB`. From NVIDIA's
#: data sheets; V100: the larger of its two sizes, which is that of the published rate.
DEVICE_GB: Mapping[str, float] = {
    "H200": 141,
    "H100": 80,
    "A100": 80,
    "V100": 32,
    "RTX 5090": 32,
    "RTX 4090": 24,
    "RTX 3090": 24,
}


class Memory(NamedTuple):
    """Bytes that a stage takes on each of its GPUs."""

    saved: int  # by autograd, of all networks that learn at a time, for the clips of a group
    predicted: int  # largest activations of a network that only predicts
    inputs: int  # clips as they are loaded, and normalised
    weights: int  # of all networks, with statistics of batch normalisation
    gradients: int
    optimizer: int  # its state

    @property
    def gb(self) -> float:
        """All of it in GB (1e9 bytes)."""
        return sum(self) / 1e9


def device_gb(device: str) -> float | None:
    """Return the memory of a `device` by its name, in GB; None where that is not known."""
    if said := re.search(r"(\d+) ?GB\b", device):
        return float(said[1])
    return next((size for name, size in DEVICE_GB.items() if name in device), None)


def stage_memory(name: str, config: StageConfig, sketches: Mapping[str, Sketch]) -> Memory:
    """Return what a stage takes on each of its GPUs, in the turn that takes the most.

    Args:
        name: the stage's, for errors.
        config: the stage.
        sketches: its networks by name.

    Raises InputError where its GPUs cannot share the groups of a step.
    """
    clips, side, mixed = clips_at_a_time(name, config), config.clip.crop_px, config.precision != "full"
    optimizers = [turn.optimizer or config.optimizer for turn in config.turns] or [config.optimizer]
    learning = {one: learning_by_turn(config, one) for one in config.trained}
    turns = [{one: own[turn] for one, own in learning.items()} for turn in range(len(optimizers))]
    saved, predicted, gradients = max((_in_turn(sketches, turn, side, clips, mixed) for turn in turns), key=sum)
    if config.gpus > 1:  # and the copies that processes exchange, of all that ever learns
        gradients += sum(_learning_bytes(sketches[one], _ever(own)) for one, own in learning.items())
    state = sum(
        _moments(optimizer) * _learning_bytes(sketches[one], own)
        for optimizer, turn in zip(optimizers, turns, strict=True)
        for one, own in turn.items()
    )
    weights = sum(_weight_bytes(sketch) for sketch in sketches.values())
    return Memory(saved, predicted, _input_bytes(sketches, side) * clips, weights, gradients, state)


def _ever(turns: Sequence[Learning]) -> Learning:
    """Return what learns in some turn."""
    return Learning(tuple(part for turn in turns for part in turn.parts), turns[0].frozen)


def clips_at_a_time(name: str, config: StageConfig) -> int:
    """Return the clips of a group that one GPU takes; raises InputError where the GPUs cannot share the groups."""
    groups = [len(group) for group in cut([(0, index) for index in range(config.batch_size)], config.micro_batch_size)]
    try:
        return math.ceil(groups[0] / processes_per_group(groups, config.gpus))
    except ValueError as error:
        hint = "choose gpus up to the groups of a step (batch_size / micro_batch_size), or a multiple"
        raise InputError(f"stage {name}: {error}", hint=hint) from error


def _in_turn(
    sketches: Mapping[str, Sketch], learning: Mapping[str, Learning], side: int, clips: int, mixed: bool
) -> tuple[int, int, int]:
    """Return the bytes that autograd saves, those of the largest prediction alone, and those of gradients."""
    saved = gradients = predicted = 0
    for name, sketch in sketches.items():
        own = learning.get(name, Learning(()))
        if own.parts:
            saved += _saved_bytes(sketch, own, side, clips, mixed)
            gradients += _learning_bytes(sketch, own)
        else:
            predicted = max(predicted, _largest_activation(sketch, side) * clips // (2 if mixed else 1))
    return saved, predicted, gradients


def _moments(optimizer: OptimizerConfig) -> int:
    """Return how many numbers an optimiser keeps for each parameter."""
    return int(optimizer.momentum > 0) if isinstance(optimizer, SgdConfig) else 2


def _input_bytes(sketches: Mapping[str, Sketch], side: int) -> int:
    """Return the bytes of the inputs of a clip: levels once a modality, and float32 once a scale.

    Levels are of 8 bits, sound of 16.
    """
    sizes = {}
    for sketch in sketches.values():
        inputs = zip(sketch.block.modalities, sketch.inputs(side), sketch.samples, strict=True)
        for modality, shape, heard in inputs:
            sizes[modality, None] = math.prod(shape) * (2 if heard else 1)
            sizes[modality, sketch.block.scale_of(modality)] = math.prod(shape) * FLOAT32
    return sum(sizes.values())


@functools.cache
def _saved_bytes(sketch: Sketch, learning: Learning, side: int, clips: int, mixed: bool) -> int:
    return saved_bytes(learning_network(sketch, learning), sketch.inputs(side), mixed=mixed, clips=clips)


@functools.cache
def _weight_bytes(sketch: Sketch) -> int:
    network = learning_network(sketch, Learning(()))
    return sum(one.numel() * one.element_size() for one in (*network.parameters(), *network.buffers()))


@functools.cache
def _learning_bytes(sketch: Sketch, learning: Learning) -> int:
    """Return the bytes of the parameters that learn, and so of their gradients."""
    parameters = learning_network(sketch, learning).parameters()
    return sum(one.numel() for one in parameters if one.requires_grad) * FLOAT32


@functools.cache
def _largest_activation(sketch: Sketch, side: int) -> int:
    """Return the bytes of what goes into a layer and comes out, for one clip in float32, where that is the most."""
    network, sizes = learning_network(sketch, Learning(())), [0]

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append(sum(one.numel() for one in (*inputs, output)) * FLOAT32)

    for layer in network.modules():
        if not next(layer.children(), None):
            layer.register_forward_hook(note)
    with torch.no_grad():
        network(*(torch.empty((1, *shape), device="meta") for shape in sketch.inputs(side)))
    return max(sizes)
