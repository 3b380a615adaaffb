"""Figures of how many videos a second networks get through."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mml_core.config.dataset import Name
from mml_core.config.references import split_reference
from mml_core.config.scored_figures import ScoredFigure
from mml_core.config.tables import Members, split_members


class RateFigure(ScoredFigure):
    """Videos a second of networks side by side, beside those that a paper prints (AdaMML's supplement, appendix F).

    They are measured when the figure is made, on its device: networks take turns at the same clips, which lie there.
    """

    runs_networks: ClassVar[bool] = True

    kind: Literal["rate"]
    rows: dict[str, Members] = Field(
        min_length=1, max_length=8, description="whole networks by the name of the row, several joined by ` + `"
    )
    baseline: str = Field(description="name of the row that speed-ups are over")
    published: Name | None = Field(
        default=None,
        description="file of config/published, without its ending, with columns videos_per_s and speedup; null: none",
    )
    labels: dict[str, str] = Field(
        default={}, description="row: label of the published row beside it, its other columns joined by ` / `"
    )
    timed_videos: int = Field(default=16, ge=1, le=256, description="videos of the split that are timed, evenly spread")
    repetitions: int = Field(
        default=7, ge=3, le=1000, description="how often networks take turns at these; the median counts"
    )

    def members(self) -> list[str]:
        """Return the networks of each row."""
        return list(self.rows.values())

    @model_validator(mode="after")
    def _known_rows(self) -> RateFigure:
        for name in (self.baseline, *self.labels):
            if name not in self.rows:
                raise ValueError(f"no row {name!r}; there are {', '.join(self.rows)}")
        if self.labels and self.published is None:
            raise ValueError("labels: no file of published values is named")
        parts = [one for members in self.rows.values() for one in split_members(members) if split_reference(one)[2]]
        if parts:
            raise ValueError(f"rows: {parts[0]} is a part of a network; rates are those of whole networks")
        return self
