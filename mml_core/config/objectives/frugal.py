"""Cross-entropy plus the price of the modalities that a policy chose (AdaMML)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mml_core.config.dataset import Name
from mml_core.config.objectives.base import Networks, ObjectiveBase


class FrugalConfig(ObjectiveBase):
    """Cross-entropy plus prices: the squared share of the segments that a modality is used in, where the answer is right."""

    module = "mml_core.objectives.frugal"

    kind: Literal["frugal"]
    prices: dict[Name, Annotated[float, Field(ge=0, le=1e6)]] = Field(
        min_length=1, description="modality: its price (lambda); what has none is free"
    )
    wrong: float = Field(
        default=10.0,
        ge=0,
        le=1e6,
        description="added to the loss for a wrong answer (gamma); it has no gradient, and changes no weight",
    )

    @property
    def terms(self) -> tuple[str, ...]:
        """Cross-entropy, what each priced modality cost, and the penalty of wrong answers."""
        return ("cross_entropy", *(f"price_{name}" for name in self.prices), "wrong")

    def check(self, networks: Networks) -> None:
        """Raise ValueError where a network does not choose among the modalities that have a price."""
        super().check(networks)
        for name, network in networks.items():
            if unknown := sorted(set(self.prices) - set(network.choices)):
                known = ", ".join(network.choices) or "no modalities"
                raise ValueError(f"objective.prices: {unknown[0]}, but network {name} chooses among {known}")
