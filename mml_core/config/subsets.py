"""Tables over subsets of modalities: what networks and ensembles are worth when a modality is not there."""

from __future__ import annotations

from pydantic import Field, model_validator

from mml_core.config.base import Strict
from mml_core.config.dataset import Name
from mml_core.config.own_annotations import Split
from mml_core.config.references import NetworkRef
from mml_core.config.tables import EnsembleConfig

#: Modalities that a row may read: it has a line for each of their subsets.
MOST_MODALITIES = 4


class SubsetsTable(Strict):
    """Networks and ensembles, each with all non-empty subsets of the modalities that it reads.

    An ensemble leaves out the members of which nothing is there, and all others keep their weights. A network that reads
    several modalities gets zeros in place of those that are missing.
    """

    title: str = Field(min_length=1, description="what the table is about, one line for people")
    split: Split = Field(default="validation", description="which videos are scored")
    protocol: Name = Field(description="name of one of the recipe's protocols, one without missing modalities")
    networks: tuple[NetworkRef, ...] = Field(
        default=(), description="single networks, or parts that predict by themselves"
    )
    ensembles: dict[str, EnsembleConfig] = Field(default={}, description="ensembles by the name that the row carries")

    @property
    def rows(self) -> dict[str, EnsembleConfig]:
        """All rows by name; a single network is an ensemble of one."""
        return {**{name: EnsembleConfig(members={name: 1.0}) for name in self.networks}, **self.ensembles}

    @model_validator(mode="after")
    def _distinct_rows(self) -> SubsetsTable:
        if not self.networks and not self.ensembles:
            raise ValueError("networks and ensembles are both empty: the table would have no row")
        if len(self.rows) < len(self.networks) + len(self.ensembles):
            raise ValueError("two rows have the same name")
        return self
