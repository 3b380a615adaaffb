"""The networks of a stage, each with its first weights: those that are trained, with what trains them, and teachers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mml_core.clips import input_channels
from mml_core.config.base import digest
from mml_core.errors import InputError
from mml_core.networks import (
    HandOver,
    VideoNetwork,
    build_network,
    hand_over,
    parameter_groups,
    read_weight_file,
)
from mml_core.networks.stage_weights import read_weights
from mml_core.plan.stages import StageDocument
from mml_core.training.engine import Teacher, Trainee


@dataclass(frozen=True)
class Members:
    """Networks of a stage by name, and what was changed when their first weights were handed over."""

    trainees: dict[str, Trainee] = field(default_factory=dict)
    teachers: dict[str, Teacher] = field(default_factory=dict)
    handed_over: dict[str, HandOver] = field(default_factory=dict)


def build_members(
    document: StageDocument,
    first_weights: Mapping[str, Path],
    kinds: Mapping[str, str],
    *,
    classes: int,
    device: torch.device,
) -> Members:
    """Return the networks that `document` describes, on `device`.

    Args:
        document: the stage.
        first_weights: file of each network that does not start at random.
        kinds: kind (rgb, flow, diff) of each modality.
        classes: N.
        device: where they are trained.

    Raises InputError where weights do not fit, and where those of a teacher bring no classifier for these classes.
    """
    config, members = document.config, Members()
    for name, block in config.networks.items():
        kind = kinds[block.modality]
        # drawn from the seed and the name, so that two networks of a stage differ
        torch.manual_seed(int(digest([config.seed, name], 15), 16))
        channels = input_channels(kind, config.clip.stack)
        network = build_network(block, frames=config.clip.frames, channels=channels, classes=classes)
        members.handed_over[name] = handed_over = _first_state(network, name, document, first_weights)
        # the layout that its convolutions want, on a CPU and on a GPU alike
        network = network.to(device, memory_format=network.memory_format)
        if block.frozen:
            _require_taught(handed_over, name, first_weights[name])
            teacher = Teacher(network.eval().requires_grad_(False), block.modality, kind)
            members.teachers[name] = teacher
            continue
        groups = parameter_groups(network, config.optimizer, new_head=handed_over.new_head)
        optimizer = torch.optim.SGD(groups, momentum=config.optimizer.momentum, nesterov=config.optimizer.nesterov)
        scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "mixed" and device.type == "cuda")
        members.trainees[name] = Trainee(network, optimizer, scaler, block.modality, kind)
    return members


def _first_state(
    network: VideoNetwork, name: str, document: StageDocument, first_weights: Mapping[str, Path]
) -> HandOver:
    """Load the weights that network `name` starts from, and return what was changed on the way."""
    init = document.inits[name]
    if init.source == "random":
        return HandOver(new_head=True, converted_input=False, inflated=False)
    path = first_weights[name]
    state = read_weights(path, init.network) if init.network else read_weight_file(path)
    return hand_over(network, state, reset_head=document.config.networks[name].reset_head, source=str(path))


def _require_taught(handed_over: HandOver, name: str, path: Path) -> None:
    """Raise InputError where a teacher is not the network that the file holds."""
    if handed_over.new_head or handed_over.converted_input or handed_over.inflated:
        raise InputError(
            f"teacher {name} cannot be taken over as it is: the file's network has other classes, another modality or "
            "no classifier",
            file=path,
            hint="start a frozen network from one that was trained on this data set and modality",
        )
