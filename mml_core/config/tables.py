"""What is made of scores: tables, tables of a paper, claims, and files for a test server."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mml_core.config.base import Strict, added
from mml_core.config.dataset import Name
from mml_core.config.own_annotations import Split
from mml_core.config.references import REFERENCE_PATTERN, NetworkRef

_REFERENCE = REFERENCE_PATTERN.strip("^$")
#: One network, or several whose logits are summed: `ml_rgb.rgb + ml_flow.flow`.
Members = Annotated[str, StringConstraints(pattern=rf"^{_REFERENCE}( \+ {_REFERENCE})*$")]
#: Names of tables as papers number them: `table_VII`.
TableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
#: With fewer classes a top-5 says nothing to people; files have it all the same.
LEAST_FOR_TOP5 = 10


class EnsembleConfig(Strict):
    """A weighted sum of several networks' scores."""

    members: dict[NetworkRef, Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="`stage.network` or `stage.network.part`: weight"
    )
    fusion: Literal["logits", "probabilities"] = Field(default="logits", description="what is summed")

    @field_validator("members", mode="before")
    @classmethod
    def _bare_list(cls, value: Any) -> Any:
        names = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return dict.fromkeys(value, 1.0) if names else value


class TableConfig(Strict):
    """One table: a row for each network and each ensemble."""

    split: Split = Field(default="validation", description="which videos are scored")
    protocol: Name = Field(description="name of one of the recipe's protocols")
    networks: Literal["all"] | tuple[NetworkRef, ...] = Field(
        default="all",
        description="single networks to list, or parts that predict by themselves; all: all whole networks",
    )
    ensembles: dict[str, EnsembleConfig] = Field(default={}, description="ensembles by the name that the row carries")


class PublishedTable(Strict):
    """A table of a paper: each published value beside ours and the difference."""

    published: Name = Field(description="file of config/published with the printed values, without its ending")
    title: str = Field(min_length=1, description="what the table is about, one line for people")
    split: Split = Field(default="validation", description="which videos are scored")
    protocol: Name = Field(description="name of one of the recipe's protocols")
    middle: bool = added(
        False,
        description="also values for which the one uniform clip shows the middles (phase: middle), in columns of their own; "
        "its scores have to hold both, as those of two uniform clips do",
    )

    def rows(self) -> list[list[str]]:
        """Return the networks of each row that is made of scores."""
        raise NotImplementedError

    def references(self) -> list[str]:
        """Return the networks that the table needs."""
        return list(dict.fromkeys(reference for row in self.rows() for reference in row))

    def by_protocol(self) -> dict[str, list[list[str]]]:
        """Return the networks of each row that is made of scores, by the name of the protocol that it is about."""
        return {self.protocol: self.rows()}


class PublishedNetworks(PublishedTable):
    """A row a network or ensemble; published rows that have no model here are printed without a value of ours."""

    kind: Literal["networks"]
    labels: tuple[str, ...] = added(
        ("label",), min_length=1, description="columns whose values, joined by ` / `, are the label of a published row"
    )
    models: dict[str, Members | tuple[Members, ...]] = Field(
        min_length=1,
        description="label of a published row: our network, several joined by ` + `, or a list of these whose mean it is "
        "(official splits)",
    )
    row_protocols: dict[str, Name] = Field(
        default={},
        description="label of a row that is about other views: a protocol that is part of the table's, or one with noise or "
        "missing modalities, which networks are scored by besides",
    )

    def rows(self) -> list[list[str]]:
        """Return the networks of each of its rows; of a mean, those of what it is over."""
        return [row for rows in self.by_protocol().values() for row in rows]

    def by_protocol(self) -> dict[str, list[list[str]]]:
        """Return the networks of each row as `rows` does, by the row's own protocol where it has one."""
        found: dict[str, list[list[str]]] = {}
        for label, members in self.models.items():
            rows = found.setdefault(self.row_protocols.get(label, self.protocol), [])
            rows += [split_members(one) for one in averaged(members)]
        return found


class PublishedSampling(PublishedTable):
    """A row a way to sample in training and in testing; `protocol` is one whose views include those of all rows."""

    kind: Literal["sampling"]
    models: dict[str, NetworkRef] = Field(min_length=1, description="published train_sampling: our network")

    def rows(self) -> list[list[str]]:
        """Return the network of each row."""
        return [[network] for network in self.models.values()]


class PublishedPairs(PublishedTable):
    """All ensembles of one network of each of two groups, also as a matrix coloured relative to a baseline."""

    kind: Literal["pairs"]
    models: dict[Name, dict[str, NetworkRef]] = Field(
        min_length=2, max_length=2, description="published column: its models by label"
    )
    baseline: dict[Name, str] = Field(description="published column: label; the pair that others are compared with")

    def rows(self) -> list[list[str]]:
        """Return the networks of all its ensembles."""
        return [list(row) for row in itertools.product(*(group.values() for group in self.models.values()))]

    @model_validator(mode="after")
    def _known_baseline(self) -> PublishedPairs:
        if self.baseline.keys() != self.models.keys() or any(
            label not in self.models[column] for column, label in self.baseline.items()
        ):
            raise ValueError(f"baseline: expected one label of each of {', '.join(self.models)}")
        return self


class PublishedPositions(PublishedTable):
    """All ensembles of one network of each of three groups, ranked; a row a network with its sum of positions."""

    kind: Literal["positions"]
    models: dict[str, dict[str, NetworkRef]] = Field(
        min_length=3, max_length=3, description="published modality: its models by label"
    )

    def rows(self) -> list[list[str]]:
        """Return the networks of all its ensembles."""
        return [list(row) for row in itertools.product(*(group.values() for group in self.models.values()))]


PublishedConfig = Annotated[
    PublishedNetworks | PublishedSampling | PublishedPairs | PublishedPositions, Field(discriminator="kind")
]


#: Rows of a published table: the table, then what they are about (`*` for anything).
Row = Annotated[tuple[str, ...], Field(min_length=1)]


class Comparison(Strict):
    """Two sides that are compared; each is members (`mml.rgb`) or a row of a published table (`[table_I, label]`)."""

    better: Members | Row = Field(description="the side that is claimed to be better")
    worse: Members | Row = Field(description="the other side")
    published: float | None = added(
        None,
        ge=-100,
        le=100,
        description="the difference in points that a paper states without printing both sides; default: that of printed rows",
    )


class Claim(Strict):
    """A statement of a paper: the mean difference over its comparisons is larger than zero."""

    name: Name = Field(description="what the claim is called in tables")
    text: str = Field(min_length=1, description="the statement in words")
    source: str = Field(default="", description="where it is made")
    comparisons: tuple[Comparison, ...] = Field(min_length=1, description="the differences that are averaged")


class ClaimsConfig(Strict):
    """Statements and how they are tested: differences on the same videos and seeds, with intervals."""

    split: Split = Field(default="validation", description="which videos are scored")
    protocol: Name = Field(description="name of one of the recipe's protocols")
    statements: tuple[Claim, ...] = Field(min_length=1, description="claims in the order of the table")
    only: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="names of the statements to test, where it is not all of them"
    )

    @model_validator(mode="after")
    def _distinct(self) -> ClaimsConfig:
        names = [claim.name for claim in self.statements]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"statements: two claims are called {twice[0]!r}")
        if unknown := sorted(set(self.only or ()) - set(names)):
            raise ValueError(f"only: no statement is called {unknown[0]!r}; there are {', '.join(names)}")
        return self

    @property
    def tested(self) -> list[Claim]:
        """The statements to test."""
        return [claim for claim in self.statements if self.only is None or claim.name in self.only]


class SubmissionConfig(Strict):
    """The five best classes of each video of a split without labels, as a file for a test server."""

    split: Split = Field(default="test", description="which videos are scored")
    protocol: Name = Field(description="name of one of the recipe's protocols")
    members: Members = Field(description="our network, or several joined by ` + `, whose logits are summed")


def averaged(members: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return what a row is the mean of: itself, or what it lists."""
    return (members,) if isinstance(members, str) else members


def split_members(members: str) -> list[str]:
    """Return the networks that `members` names: `a.b + c.d` -> [`a.b`, `c.d`]."""
    return members.split(" + ")
