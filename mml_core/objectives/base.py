"""What all objectives have in common: predictions in by network, losses out by network and term."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from mml_core.config.objectives import ObjectiveBase
from mml_core.errors import InputError
from mml_core.networks import Prediction

#: Network -> term -> scalar, a mean over the clips. The loss of a network is the sum of its terms, and the sum over the
#: networks gives every network the gradient of its own loss alone: what it learns from others is detached.
Losses = dict[str, dict[str, Tensor]]


#: Network -> quantity -> sum over clips, a scalar.
ClipSums = dict[str, dict[str, Tensor]]


class Step(NamedTuple):
    """A step between its backward passes and its update, the same in all processes that share it.

    networks: those of which something learns, by name. Parameters that learn have the gradient of the mean loss over
    all clips of the step, in its own scale in mixed precision too, where it may hold values that are not finite: such
    a step changes no weights. sums: of `Objective.measured` over all clips of the step. epoch: from 0. generator: of a
    seed that is a function of the stage's seed and the step, on the networks' device.
    """

    networks: Mapping[str, nn.Module]
    sums: ClipSums
    epoch: int
    generator: torch.Generator


class Objective(nn.Module):
    """What the networks of a stage minimise together."""

    #: Whether gradients are changed before the update: `measured` and `change_gradients` are called where they are.
    changes_gradients: ClassVar[bool] = False

    def forward(
        self, predictions: Mapping[str, Prediction], targets: Tensor, teachers: Mapping[str, Prediction]
    ) -> Losses:
        """Return the losses of the trained networks.

        Args:
            predictions: of the trained networks, by name.
            targets: (B,) class indices, or (B, N) zeros and ones where a video may have several labels.
            teachers: predictions of the frozen networks, by name.
        """
        raise NotImplementedError

    def measured(self, predictions: Mapping[str, Prediction], targets: Tensor) -> ClipSums:
        """Return sums over some clips of what `change_gradients` has to know; arguments as in `forward`."""
        raise NotImplementedError

    def change_gradients(self, step: Step) -> None:
        """Change the gradients of the step's networks where they are: clipping and the update come afterwards."""
        raise NotImplementedError


def build_objective(config: ObjectiveBase, *, multi_label: bool) -> Objective:
    """Return the objective that `config` describes, for videos with one label or with several.

    Raises InputError for one that can be planned with but is not part of this version yet.
    """
    if importlib.util.find_spec(config.module) is None:
        name = config.module.rpartition(".")[2]
        raise InputError(f"objective {name} is not part of this version", hint="its stages can be planned (-n) only")
    return importlib.import_module(config.module).build(config, multi_label=multi_label)
