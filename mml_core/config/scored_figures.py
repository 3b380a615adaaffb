"""Figures that are made from scores alone: accuracies over what networks differ by, classes, pairs of classes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from mml_core.config.base import Strict
from mml_core.config.dataset import Name
from mml_core.config.networks import NetworkBase
from mml_core.config.own_annotations import Split
from mml_core.config.references import NetworkRef
from mml_core.config.tables import Members, split_members

#: Weights of two networks, from the second one alone to the first one alone (as Chi et al. 2019, Figure 3, go through).
WEIGHTS = (
    (0, 1),
    *((1, n) for n in (10, 5, 4, 3, 2)),
    (2, 3),
    (1, 1),
    (3, 2),
    *((n, 1) for n in (2, 3, 4, 5, 10)),
    (1, 0),
)


class Figure(Strict):
    """What all figures have in common."""

    #: Whether it is drawn by running networks, and not from files alone.
    runs_networks: ClassVar[bool] = False

    title: str = Field(min_length=1, max_length=200, description="what the figure is about, one line for people")

    def references(self) -> list[str]:
        """Return the networks that the figure needs."""
        raise NotImplementedError

    def misfit(self, network: NetworkBase, part: str) -> str | None:
        """Return why `part` of `network`, which is one of its references, cannot be drawn, or None."""
        return None


class ScoredFigure(Figure):
    """What figures of accuracies have in common."""

    split: Split = Field(default="validation", description="which videos it is about")
    protocol: Name = Field(description="name of one of the recipe's protocols")

    def members(self) -> list[str]:
        """Return the networks of each of its rows, several joined by ` + `."""
        raise NotImplementedError

    def references(self) -> list[str]:
        """Return the networks that the figure needs."""
        return list(dict.fromkeys(reference for members in self.members() for reference in split_members(members)))


class Point(Strict):
    """A place on the x axis of a curve."""

    x: float | str = Field(description="a number, or a label")
    members: Members = Field(description="our network, or several joined by ` + `")

    @property
    def label(self) -> str:
        """What stands below the axis."""
        return self.x if isinstance(self.x, str) else f"{self.x:g}"


class CurveFigure(ScoredFigure):
    """Accuracy of networks or ensembles over a number that they differ by (MARS, Fig. 4b)."""

    kind: Literal["curve"]
    x_label: str = Field(default="", max_length=80, description="what the x axis says")
    points: tuple[Point, ...] = Field(
        min_length=2,
        max_length=100,
        description="from left to right; where all x are numbers they are to scale, else evenly spaced",
    )

    def members(self) -> list[str]:
        """Return the networks of each point."""
        return [point.members for point in self.points]

    @model_validator(mode="after")
    def _distinct(self) -> CurveFigure:
        labels = [point.label for point in self.points]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"points: two have x {twice[0]}")
        return self


class CostFigure(ScoredFigure):
    """Accuracy over GFLOPs a video, of networks that may choose what they run (AdaMML)."""

    kind: Literal["cost"]
    rows: dict[str, Members] = Field(
        min_length=1, description="networks by the name that the point carries, several joined by ` + `"
    )
    line: tuple[str, ...] = Field(default=(), description="rows that a line joins, in this order")

    def members(self) -> list[str]:
        """Return the networks of each row."""
        return list(self.rows.values())

    @model_validator(mode="after")
    def _known_line(self) -> CostFigure:
        if unknown := [name for name in self.line if name not in self.rows]:
            raise ValueError(f"line: no row {unknown[0]!r}; there are {', '.join(self.rows)}")
        return self


class ClassesFigure(ScoredFigure):
    """The classes that gain and lose most from one row to another, with all rows' accuracies (MARS, Fig. 5)."""

    kind: Literal["classes"]
    rows: dict[str, Members] = Field(
        min_length=2, max_length=8, description="networks by the name of the row, several joined by ` + `"
    )
    before: str = Field(description="name of the row that is compared with")
    after: str = Field(description="name of the row whose gains and losses are looked for")
    most: int = Field(default=3, ge=1, le=20, description="classes that gain most, and as many that lose most")

    def members(self) -> list[str]:
        """Return the networks of each row."""
        return list(self.rows.values())

    @model_validator(mode="after")
    def _known_rows(self) -> ClassesFigure:
        for name in (self.before, self.after):
            if name not in self.rows:
                raise ValueError(f"no row {name!r}; there are {', '.join(self.rows)}")
        if self.before == self.after:
            raise ValueError("before and after are the same row")
        return self


class Pair(Strict):
    """Two networks that are weighed against each other."""

    first: NetworkRef = Field(description="`stage.network` or `stage.network.part`")
    second: NetworkRef = Field(description="the other one")

    @model_validator(mode="after")
    def _two_networks(self) -> Pair:
        if self.first == self.second:
            raise ValueError("first and second are the same network")
        return self


class FusionFigure(ScoredFigure):
    """Accuracy of two networks together over their weights (Chi et al. 2019, Figure 3)."""

    kind: Literal["fusion"]
    pairs: dict[str, Pair] = Field(min_length=1, max_length=8, description="two networks by the name of their line")
    weights: tuple[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], ...] = Field(
        default=WEIGHTS,
        validate_default=True,
        min_length=2,
        max_length=50,
        description="weights of the first and of the second network, from left to right, evenly spaced; by default from "
        "the second one alone, through 1:10, 1:5, 1:1, 5:1 and others, to the first one alone",
    )
    fusion: Literal["logits", "probabilities"] = Field(default="logits", description="what is weighed and summed")

    def members(self) -> list[str]:
        """Return both networks of each pair."""
        return [f"{pair.first} + {pair.second}" for pair in self.pairs.values()]

    @model_validator(mode="after")
    def _distinct(self) -> FusionFigure:
        if (0, 0) in self.weights:
            raise ValueError("weights: both of a pair are 0")
        if twice := sorted({one for one in self.weights if self.weights.count(one) > 1}):
            raise ValueError(f"weights: {twice[0][0]:g} and {twice[0][1]:g} are there twice")
        return self


class ConfusionsFigure(ScoredFigure):
    """The pairs of classes that one row confuses less, and more, than another (Chi et al. 2019, Table 3)."""

    kind: Literal["confusions"]
    before: Members = Field(description="networks that are compared with, several joined by ` + `")
    after: Members = Field(description="networks whose confusions are looked for, several joined by ` + `")
    pairs: tuple[tuple[str, str], ...] = Field(
        default=(),
        max_length=20,
        description="pairs to show first, whatever becomes of them: a class, and the one that its videos are taken for; none, "
        "where the data set has none of these classes",
    )
    most: int = Field(default=10, ge=1, le=20, description="pairs that fall most, and as many that rise most")

    def members(self) -> list[str]:
        """Return the networks of both rows."""
        return [self.before, self.after]

    @model_validator(mode="after")
    def _two_rows(self) -> ConfusionsFigure:
        if sorted(split_members(self.before)) == sorted(split_members(self.after)):
            raise ValueError("before and after are the same networks")
        if alike := [one for one, other in self.pairs if one == other]:
            raise ValueError(f"pairs: {alike[0]!r} is taken for itself where it is not confused")
        if len({*self.pairs}) < len(self.pairs):
            raise ValueError("pairs: one is there twice")
        return self
