"""Figures of a paper that are made of networks, their scores or their histories: `results/figures/NAME.csv` and `.png`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from mml_core.config.choices_figure import ChoicesFigure
from mml_core.config.dataset import Name
from mml_core.config.networks import NetworkBase
from mml_core.config.rate_figure import RateFigure
from mml_core.config.references import NetworkRef, split_reference
from mml_core.config.scored_figures import (
    ClassesFigure,
    ConfusionsFigure,
    CostFigure,
    CurveFigure,
    Figure,
    FusionFigure,
    ScoredFigure,
)
from mml_core.config.tables import Members

#: A place in a picture, in shares of its height or width.
Share = Annotated[float, Field(ge=0, le=1)]


class SpeedFigure(ScoredFigure):
    """Accuracy over the seconds that a video takes, modalities and networks (MARS, Figs. 1 and 4a).

    Seconds are measured when the figure is made, on its device, from stored frames: the kinds of flow that are compared are
    those that the networks read. Reading and decoding do not count.
    """

    runs_networks: ClassVar[bool] = True

    kind: Literal["speed"]
    rows: dict[str, Members] = Field(
        min_length=1, description="networks by the name that the point carries, several joined by ` + `"
    )
    timed_videos: int = Field(default=8, ge=1, le=256, description="videos of the split that are timed, evenly spread")

    def members(self) -> list[str]:
        """Return the networks of each row."""
        return list(self.rows.values())


class MapsFigure(ScoredFigure):
    """Where networks look: activation maps of a few videos, with the softmax of the true class (MARS, Fig. 6)."""

    runs_networks: ClassVar[bool] = True

    kind: Literal["maps"]
    networks: dict[str, NetworkRef] = Field(
        min_length=1, max_length=8, description="whole networks by the name that their row carries"
    )
    method: Literal["grad_cam", "cam"] = Field(
        default="grad_cam",
        description="grad_cam: Grad-CAM (Selvaraju et al. 2017), of any network; cam: class activation maps (Zhou et al. "
        "2016), of networks that end in average pooling and a linear classifier",
    )
    videos: int = Field(default=3, ge=1, le=6, description="videos, of classes that are evenly spread")
    frames: int = Field(default=2, ge=1, le=4, description="frames of the clip in the middle that are shown")

    def members(self) -> list[str]:
        """Return the networks."""
        return list(self.networks.values())

    def misfit(self, network: NetworkBase, part: str) -> str | None:
        """Maps are of networks that run on all of a clip; class activation maps of those that end in a linear classifier."""
        if network.choices:
            return "chooses what it runs, and has no map of a clip as a whole"
        if self.method == "grad_cam" or network.pooled:
            return None
        return (
            "does not end in average pooling and a linear classifier, which class activation maps are defined for; "
            "use method: grad_cam"
        )

    @model_validator(mode="after")
    def _whole_networks(self) -> MapsFigure:
        _check_whole(self.networks.values(), "maps")
        return self


class AttentionFigure(ScoredFigure):
    """Where a place of a frame looks: attention maps of a few videos (Chi et al. 2019, Figure 5)."""

    runs_networks: ClassVar[bool] = True

    kind: Literal["attention"]
    networks: dict[str, NetworkRef] = Field(
        min_length=1,
        max_length=8,
        description="networks with attention blocks, or branches of them, by the name that their row carries; of a whole "
        "cma it is the first branch of its `scores` that looks",
    )
    query: tuple[Share, Share] = Field(
        default=(0.5, 0.5),
        description="the place that looks: how far down the picture and how far to the right it is, 0 to 1",
    )
    videos: int = Field(default=3, ge=1, le=6, description="videos, of classes that are evenly spread")
    frames: int = Field(default=1, ge=1, le=4, description="frames of the clip in the middle that are shown")

    def members(self) -> list[str]:
        """Return the networks."""
        return list(self.networks.values())

    def misfit(self, network: NetworkBase, part: str) -> str | None:
        """Only networks with attention blocks look."""
        if network.looking(part) is not None:
            return None
        return (
            f"has no attention blocks: it is of architecture {network.architecture}; name networks of architecture cma or "
            "non_local, or use kind: maps"
        )


class HistoryFigure(Figure):
    """How a training went: columns of the history of a stage, or of several, over epochs (MARS, Fig. 4c)."""

    kind: Literal["history"]
    networks: dict[str, NetworkRef] = Field(
        min_length=1, max_length=4, description="whole networks by the name that their curves carry"
    )
    panels: dict[str, Annotated[tuple[Name, ...], Field(min_length=1, max_length=6)]] = Field(
        min_length=1,
        max_length=4,
        description="columns of history.csv (learning_rate, loss, the terms of the objective, train_top1, validation_loss, "
        "validation_top1, seconds), six a panel at most, by what its y axis says",
    )

    @property
    def columns(self) -> list[str]:
        """The columns of all panels, from left to right."""
        return [column for panel in self.panels.values() for column in panel]

    def references(self) -> list[str]:
        """Return the networks."""
        return list(dict.fromkeys(self.networks.values()))

    @model_validator(mode="after")
    def _distinct(self) -> HistoryFigure:
        _check_whole(self.networks.values(), "histories")
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise ValueError(f"panels: column {twice[0]} is there twice")
        return self


def _check_whole(references: Iterable[str], what: str) -> None:
    for reference in references:
        if split_reference(reference)[2]:
            raise ValueError(f"networks: {reference} is a part of a network; {what} are those of whole networks")


ScoredFigureConfig = Annotated[
    CurveFigure
    | SpeedFigure
    | RateFigure
    | CostFigure
    | ClassesFigure
    | FusionFigure
    | ConfusionsFigure
    | MapsFigure
    | AttentionFigure
    | ChoicesFigure,
    Field(discriminator="kind"),
]
FigureConfig = Annotated[ScoredFigureConfig | HistoryFigure, Field(discriminator="kind")]
