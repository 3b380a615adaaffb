"""Cross-entropy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.networks.base import Part
from mml_core.config.objectives.base import Networks, ObjectiveBase


class CrossEntropyConfig(ObjectiveBase):
    """Each network by itself against the labels."""

    module = "mml_core.objectives.cross_entropy"

    kind: Literal["cross_entropy"] = "cross_entropy"
    heads: tuple[Part, ...] = Field(
        default=(), description="parts whose losses are added, for networks that predict by parts; none: the whole"
    )

    @property
    def told_as_loss(self) -> bool:
        """Whether the loss is that of the whole network."""
        return not self.heads

    def check(self, networks: Networks) -> None:
        """Raise ValueError where a network has no head of a name in `heads`, or there is a teacher."""
        super().check(networks)
        for name, network in networks.items():
            if unknown := sorted(set(self.heads) - set(network.heads)):
                known = ", ".join(network.heads) or "none"
                raise ValueError(f"objective.heads: network {name} has no head {unknown[0]!r}; it has {known}")
