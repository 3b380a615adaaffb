"""What learns: parts of networks, each with an optimiser, in the epochs of its turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from mml_core.config.learning import AdamConfig, AdamWConfig, OptimizerConfig, SgdConfig
from mml_core.config.networks import WHOLE
from mml_core.config.networks.base import is_within
from mml_core.config.stage import StageConfig
from mml_core.networks import VideoNetwork, parameter_groups
from mml_core.runtime.compiler import compiler_stand_in


@dataclass(frozen=True)
class Learner:
    """Parts of one network that one optimiser changes."""

    network: str
    whole: nn.Module
    parts: tuple[str, ...]  # of the whole, which learn in the epochs of its turn
    frozen: tuple[str, ...]  # within these, what never learns
    config: OptimizerConfig
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    turn: int = 0

    def start(self) -> None:
        """Let its parts learn."""
        for part in self.parts:
            self.whole.get_submodule(part).train().requires_grad_(True)
        for part in self.frozen:
            self.whole.get_submodule(part).eval().requires_grad_(False)

    def unscale(self) -> None:
        """Bring the gradients of a step, which were scaled for float16, into their own scale."""
        self.scaler.unscale_(self.optimizer)

    def update(self, factor: float) -> None:
        """Take a step along the unscaled gradients, with the learning rate times `factor`, and forget them."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor * group["lr_scale"]
        if self.config.clip_norm is not None:
            parameters = [one for group in self.optimizer.param_groups for one in group["params"]]
            clip_grad_norm_(parameters, self.config.clip_norm)
        with compiler_stand_in():
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)


def make_learners(
    config: StageConfig, networks: Mapping[str, VideoNetwork], new_heads: Mapping[str, bool], device: torch.device
) -> dict[str, Learner]:
    """Return the learners of a stage by name: one a trained network, or, with turns, one a turn and network.

    `networks` are those that are trained; `new_heads` says which of them have a new classifier.
    """
    if not config.turns:
        return {
            name: _learner(config, name, network, [WHOLE], config.optimizer, 0, device, new_head=new_heads[name])
            for name, network in networks.items()
        }
    learners = {}
    for number, turn in enumerate(config.turns):
        parts: dict[str, list[str]] = {}
        for reference in turn.parts:
            name, _, part = reference.partition(".")
            parts.setdefault(name, []).append(part)
        for name, own in parts.items():
            learners[f"{name}.{number}"] = _learner(
                config,
                name,
                networks[name],
                own,
                turn.optimizer or config.optimizer,
                number,
                device,
                new_head=new_heads[name],
            )
    return learners


def _learner(
    config: StageConfig,
    name: str,
    network: VideoNetwork,
    parts: list[str],
    optimizer: OptimizerConfig,
    turn: int,
    device: torch.device,
    *,
    new_head: bool,
) -> Learner:
    frozen = [one for one in config.networks[name].frozen_parts if any(is_within(one, part) for part in parts)]
    groups = parameter_groups(network, optimizer, new_head=new_head, parts=parts, frozen=frozen)
    return Learner(
        network=name,
        whole=network,
        parts=tuple(parts),
        frozen=tuple(frozen),
        config=optimizer,
        optimizer=make_optimizer(optimizer, groups),
        scaler=torch.amp.GradScaler(device.type, enabled=config.precision == "mixed" and device.type == "cuda"),
        turn=turn,
    )


def make_optimizer(config: OptimizerConfig, groups: list[dict[str, object]]) -> torch.optim.Optimizer:
    """Return torch's optimiser for parameter `groups`."""
    with compiler_stand_in():
        return _optimizer(config, groups)


def _optimizer(config: OptimizerConfig, groups: list[dict[str, object]]) -> torch.optim.Optimizer:
    match config:
        case SgdConfig():
            return torch.optim.SGD(
                groups, momentum=config.momentum, dampening=config.dampening, nesterov=config.nesterov
            )
        case AdamConfig():
            return torch.optim.Adam(groups, betas=config.betas)
        case AdamWConfig():
            return torch.optim.AdamW(groups, betas=config.betas)


def start_epoch(
    networks: Iterable[VideoNetwork], learners: Mapping[str, Learner], turns: int, epoch: int
) -> dict[str, Learner]:
    """Let those learn whose turn `epoch` (from 0) is, and return them; everything else is as in testing.

    What does not learn keeps its weights and the statistics of its batch normalisation. `turns`: their number, or 0.
    """
    turn = epoch % turns if turns else 0
    active = {name: learner for name, learner in learners.items() if learner.turn == turn}
    for network in networks:
        network.eval().requires_grad_(False)
        network.start_epoch(epoch)
    for learner in active.values():
        learner.start()
    return active
