"""Generalised distillation with the distance of feature maps (Garcia, Morerio, Murino 2018)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mml_core.config.objectives.base import Networks, ObjectiveBase


class HallucinationConfig(ObjectiveBase):
    """Hard and soft labels, and the distance of inner feature maps, from a frozen stream (equations 3 to 7)."""

    module = "mml_core.objectives.hallucination"
    teachers = 1

    kind: Literal["hallucination"]
    soft: float = Field(default=0.5, ge=0, le=1, description="share of soft labels against hard ones (lambda)")
    distillation: float = Field(default=0.5, ge=0, le=1, description="share of the distance against labels (alpha)")
    temperature: float = Field(default=10.0, gt=0, le=1000, description="of the soft labels (T)")
    layers: dict[Literal["layer1", "layer2", "layer3", "layer4"], float] = Field(
        default={"layer4": 1.0}, min_length=1, description="block: weight of the distance of its maps"
    )

    @property
    def maps(self) -> tuple[str, ...]:
        """The blocks whose maps are compared."""
        return tuple(sorted(self.layers))

    def check(self, networks: Networks) -> None:
        """Raise ValueError unless there is one teacher, with maps of the size of its students'."""
        super().check(networks)
        self.check_features(networks)
