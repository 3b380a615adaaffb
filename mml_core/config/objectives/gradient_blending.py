"""A loss for each head, weighted by how it overfits and generalises (Wang, Tran, Feiszli 2020)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import Part
from mml_core.config.objectives.base import Networks, ObjectiveBase
from mml_core.config.references import WholeNetworkRef

#: What the joint prediction is called beside the heads.
ALL = "all"


class GradientBlendingConfig(ObjectiveBase):
    """Cross-entropy of each head and of the whole network, weighted by what histories say (Gradient-Blending, offline).

    A weight is that of Wang, Tran, Feiszli 2020: generalisation over the square of overfitting, all adding up to one.
    """

    module = "mml_core.objectives.gradient_blending"

    kind: Literal["gradient_blending"]
    weights: dict[Part, WholeNetworkRef] = Field(
        min_length=2,
        description="each head of the network, and `all` for the whole: a network `stage.network` that is trained by "
        "cross-entropy on what the head reads, whose losses in training and validation the head's weight follows from",
    )

    @property
    def terms(self) -> tuple[str, ...]:
        """The weighted cross-entropy of each head."""
        return tuple(f"cross_entropy_{name}" for name in self.weights)

    @property
    def histories(self) -> dict[str, str]:
        """The networks that the weights follow from, by head."""
        return dict(self.weights)

    def check(self, networks: Networks) -> None:
        """Raise ValueError where a head of a network, or the whole, has no weight, or a weight no head."""
        super().check(networks)
        for name, network in networks.items():
            expected = {*network.heads, ALL}
            if not network.heads:
                raise ValueError(f"objective gradient_blending weighs heads; network {name} predicts as a whole alone")
            if wrong := sorted(expected ^ {*self.weights}):
                known = ", ".join(sorted(expected))
                raise ValueError(f"objective.weights: {wrong[0]}; the heads of network {name} are {known}, each once")
