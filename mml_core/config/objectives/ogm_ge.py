"""Cross-entropy with slower gradients for the stream that is ahead (Peng, Wei, Deng, Wang, Hu 2022)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mml_core.config.objectives.base import Networks, ObjectiveBase

Epoch = Annotated[int, Field(ge=1, le=10_000)]


class OgmGeConfig(ObjectiveBase):
    """Cross-entropy; gradients of a stream that is ahead of another are made smaller, and noise is added (OGM-GE)."""

    module = "mml_core.objectives.ogm_ge"

    kind: Literal["ogm_ge"]
    alpha: float = Field(gt=0, le=100, description="how much smaller: by 1 - tanh(alpha ratio), equation 10")
    noise: bool = Field(
        default=True,
        description="add Gaussian noise of the gradients' own deviation (GE); false: modulation alone (OGM)",
    )
    epochs: tuple[Epoch, Epoch] | None = Field(
        default=None, description="first and last epoch, from 1, in which gradients are changed; null: all"
    )

    @property
    def told_as_loss(self) -> bool:
        """The loss is cross-entropy of the whole network."""
        return True

    def check(self, networks: Networks) -> None:
        """Raise ValueError unless each network has two streams at least whose own scores can be compared."""
        super().check(networks)
        for name, network in networks.items():
            if len(network.heads) < 2 or not all(network.has_part(f"streams.{head}") for head in network.heads):
                raise ValueError(
                    f"objective ogm_ge compares what streams say by themselves; network {name}, a {network.architecture}, "
                    "has no two streams with heads of their own: take a weighted_fusion"
                )

    @model_validator(mode="after")
    def _ordered(self) -> OgmGeConfig:
        if self.epochs and self.epochs[0] > self.epochs[1]:
            raise ValueError("epochs: the first one is behind the last one")
        return self
