"""What all objectives have in common: predictions in by network, losses out by network and term."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

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


class EpochLosses(NamedTuple):
    """What a network's losses were in an epoch (from 1): over it in training, behind it on the validation split."""

    epoch: int
    training: float
    validation: float


#: By what a configuration calls other networks (`ObjectiveBase.histories`): the epochs that they were validated in.
Curves = Mapping[str, Sequence[EpochLosses]]


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
    #: What it computed from the histories of others, as JSON values: recorded with the weights.
    computed: Mapping[str, Any] = {}

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


def build_objective(config: ObjectiveBase, *, multi_label: bool, curves: Curves | None = None) -> Objective:
    """Return the objective that `config` describes, for videos with one label or with several.

    `curves` are of the networks whose histories it learns from, where it does: their modules' `build` has them as well.
    Raises InputError for one that can be planned with but is not part of this version yet.
    """
    if importlib.util.find_spec(config.module) is None:
        name = config.module.rpartition(".")[2]
        raise InputError(f"objective {name} is not part of this version", hint="its stages can be planned (-n) only")
    more = {"curves": curves or {}} if config.histories else {}
    return importlib.import_module(config.module).build(config, multi_label=multi_label, **more)
