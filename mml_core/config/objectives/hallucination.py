"""Generalised distillation with the distance of feature maps (Garcia, Morerio, Murino 2018)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mml_core.config.networks.base import is_within
from mml_core.config.networks.multiplier import MultiplierNetwork
from mml_core.config.objectives.base import Networks, ObjectiveBase

Layer = Literal["layer1", "layer2", "layer3", "layer4"]


class HallucinationConfig(ObjectiveBase):
    """Hard and soft labels, and the distance of inner feature maps, for the target of a multiplier from its frozen source.

    Equations 3 to 7; what has share 0 is not computed.
    """

    module = "mml_core.objectives.hallucination"

    kind: Literal["hallucination"]
    soft: float = Field(default=0.5, ge=0, le=1, description="share of soft labels against hard ones (lambda)")
    distance: float = Field(default=0.5, ge=0, le=1, description="share of the distance against labels (alpha)")
    temperature: float = Field(default=10.0, gt=0, le=1000, description="of the source's soft labels (T)")
    temper_target: bool = Field(
        default=False,
        description="whether what is held against soft labels has the temperature as well, as in the authors' code; "
        "equation 5 has none there",
    )
    layers: dict[Layer, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default={"layer4": 1.0}, min_length=1, description="layer: weight of the distance of its maps (lambda_l)"
    )
    reduction: Literal["sum", "mean"] = Field(
        default="sum",
        description="of the squared differences over the elements of an example: sum is equation 3; the mean over examples "
        "is taken in any case",
    )
    factor: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        description="of the distance, beside its share; the authors' code has 0.01, of a sum over its 5 clips too",
    )

    @property
    def terms(self) -> tuple[str, ...]:
        """Those of hard labels, soft labels and the distance that have a share."""
        shares = {
            "cross_entropy": (1 - self.distance) * (1 - self.soft),
            "soft_labels": (1 - self.distance) * self.soft,
            "distance": self.distance,
        }
        return tuple(name for name, share in shares.items() if share)

    @property
    def maps(self) -> tuple[str, ...]:
        """The layers of both streams whose maps are compared."""
        compared = sorted(self.layers) if self.distance else ()
        return tuple(f"{name}.{layer}" for name in ("target", "source") for layer in compared)

    def check(self, networks: Networks) -> None:
        """Raise ValueError unless each network is a multiplier with a frozen source, and all that learns is taught."""
        for name, network in networks.items():
            if not isinstance(network, MultiplierNetwork):
                raise ValueError(
                    f"objective hallucination compares the streams of a multiplier; network {name} is a {network.architecture}"
                )
        super().check(networks)
        for name, network in networks.items():
            if not any(is_within("source", one) for one in network.frozen_parts):
                raise ValueError(
                    f"objective hallucination draws the target to what the source is: give network {name} frozen: [source]"
                )
            if self.distance == 1 and not any(is_within("target.fc", one) for one in network.frozen_parts):
                raise ValueError(
                    f"objective hallucination with distance: 1 trains no classifier: give network {name} "
                    "frozen: [source, target.fc]"
                )

    @model_validator(mode="after")
    def _consistent(self) -> HallucinationConfig:
        if self.distance == 0 and {"layers", "reduction", "factor"} & self.model_fields_set:
            raise ValueError("layers, reduction and factor are about the distance, whose share is 0")
        return self
