"""Trainings that are looked at after every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import mml_core.training.engine as engine
import mml_core.training.job as job

Weights = dict[str, Tensor]


class StopAt:
    """Asks the training to stop when it has looked `count` times."""

    def __init__(self, count: int) -> None:
        self.left, self.signal_name = count, "SIGTERM"

    def __enter__(self) -> StopAt:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left < 0


class Watched:
    """Keeps the trainers that were made, and the weights of all networks at first and after every epoch."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.trainers: list[engine.Trainer] = []
        self.weights: list[Weights] = []
        self.rows: list[dict[str, Any]] = []
        watched = self

        class Trainer(engine.Trainer):
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                watched.trainers.append(self)
                watched.weights.append(state_of(self))

        def record(_: object, __: object, rows: Sequence[Mapping[str, Any]]) -> None:
            watched.rows += map(dict, rows)
            watched.weights.append(state_of(watched.trainers[-1]))

        patch.setattr(job, "Trainer", Trainer)
        patch.setattr(job, "_record_epoch", record)


def state_of(trainer: engine.Trainer) -> Weights:
    """Return a copy of all parameters and statistics, `network/name`."""
    return {
        f"{name}/{key}": value.clone()
        for name, network in trainer.networks.items()
        for key, value in network.state_dict().items()
    }


def changed(before: Weights, after: Weights) -> set[str]:
    """Return the names of what is not the same, bit by bit."""
    assert before.keys() == after.keys()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def below(weights: Weights, *prefixes: str) -> set[str]:
    """Return the names of what is in parts, given as `network/part`."""
    return {name for name in weights if name.startswith(tuple(f"{prefix}." for prefix in prefixes))}
