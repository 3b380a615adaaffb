"""Figures of what networks choose along videos."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mml_core.config.networks import NetworkBase
from mml_core.config.references import NetworkRef
from mml_core.config.scored_figures import ScoredFigure


class ChoicesFigure(ScoredFigure):
    """Which modality a network used in which segment of a few videos of each class (AdaMML, Figure 1)."""

    #: Its pictures are those of the frames that networks of the stage see, although none is run.
    runs_networks: ClassVar[bool] = True

    kind: Literal["choices"]
    network: NetworkRef = Field(description="a whole network that chooses")
    classes: int = Field(default=8, ge=1, le=40, description="classes, evenly spread over those that have videos")
    videos: int = Field(default=2, ge=1, le=4, description="videos of each class, the first by id")

    def members(self) -> list[str]:
        """Return the network."""
        return [self.network]

    def misfit(self, network: NetworkBase, part: str) -> str | None:
        """Only networks that choose, as a whole, have choices."""
        if network.choices and not part:
            return None
        what = "is a part of a network" if part else f"is of architecture {network.architecture}"
        return f"chooses no modalities: it {what}; name a network that does, as one of architecture adamml"
