"""What all objectives have in common: predictions in by network, losses out by network and term."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping

from torch import Tensor, nn

from mml_core.config.objectives import ObjectiveBase
from mml_core.errors import InputError
from mml_core.networks import Prediction

#: Network -> term -> scalar, a mean over the clips. The loss of a network is the sum of its terms, and the sum over the
#: networks gives every network the gradient of its own loss alone: what it learns from others is detached.
Losses = dict[str, dict[str, Tensor]]


class Objective(nn.Module):
    """What the networks of a stage minimise together."""

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


def build_objective(config: ObjectiveBase, *, multi_label: bool) -> Objective:
    """Return the objective that `config` describes, for videos with one label or with several.

    Raises InputError for one that can be planned with but is not part of this version yet.
    """
    if importlib.util.find_spec(config.module) is None:
        name = config.module.rpartition(".")[2]
        raise InputError(f"objective {name} is not part of this version", hint="its stages can be planned (-n) only")
    return importlib.import_module(config.module).build(config, multi_label=multi_label)
