"""What is made of scores: ways to score a video, tables, tables of a paper, claims, and files for a test server."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mml_core.config.annotations import Split
from mml_core.config.base import Strict, added
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import Name
from mml_core.config.references import REFERENCE_PATTERN, NetworkRef

_REFERENCE = REFERENCE_PATTERN.strip("^$")
#: One network, or several whose logits are summed: `ml_rgb.rgb + ml_flow.flow`.
Members = Annotated[str, StringConstraints(pattern=rf"^{_REFERENCE}( \+ {_REFERENCE})*$")]
#: Names of tables as papers number them: `table_VII`.
TableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]


class ProtocolConfig(Strict):
    """How a video is scored: which clips (`dense k + uniform m` as in MML, Appendix A, or all), each in which crops."""

    dense: int = Field(default=0, ge=0, le=32, description="dense clips a video (k)")
    uniform: int = Field(default=1, ge=0, le=32, description="uniform clips a video (m)")
    crop: Literal["center", "full", "three", "scaled", "ten"] = Field(
        default="center",
        description="center: crop_px in the middle; full: the largest square in the middle; three: such squares left, middle "
        "and right; scaled: the largest square in the middle, resized to crop_px (3D-ResNets, MARS); ten: crop_px in the "
        "corners and in the middle, and their mirror images (TSN)",
    )
    views: Literal["mean", "max"] = Field(
        default="mean",
        description="a video's logits: the mean over its views, or the largest of each class (Charades with SlowFast's settings)",
    )
    clips: Literal["counted", "all"] = added(
        "counted",
        description="counted: as many as dense and uniform say; all: all clips of a video that do not overlap, one after the "
        "other with the stride of dense sampling, without the rest at the end, but at least one (MARS)",
    )
    segments: int | None = added(
        None, ge=1, le=128, description="segments of a clip, where it is another number than in training (TSN: 25)"
    )
    dense_spacing: Literal["formula", "ends"] = added(
        "formula",
        description="where several dense clips begin: formula, at i/k of the room for first frames (MML's Appendix A), so that "
        "the last ends before the video does; ends, from the first to the last one that there is room for (SlowFast, and "
        "the program of MML)",
    )
    phase: Literal["start", "middle"] = added(
        "start",
        description="where in its part of the video each frame of the one uniform clip lies: start, as the formula of MML's "
        "Appendix A; middle, as the programs of TSM and MML. Two uniform clips are these two",
    )
    within: Name | None = added(
        None,
        description="a protocol of the recipe that has all these views: networks are scored by that one, once, and the views "
        "are taken from its scores",
    )
    static: bool = added(
        False,
        description="clips without motion: the middle frame of each is repeated, flow and differences are zero (MARS, Fig. 6)",
    )

    @model_validator(mode="after")
    def _some_clip(self) -> ProtocolConfig:
        if self.dense + self.uniform == 0:
            raise ValueError("dense and uniform are both 0: nothing would be scored")
        if self.clips == "all" and (self.dense, self.uniform) != (0, 1):
            raise ValueError("clips: all takes every clip of a video; leave out dense and uniform")
        if self.phase == "middle" and (self.clips, self.uniform) != ("counted", 1):
            raise ValueError("phase: middle is about one uniform clip; two are at start and middle already")
        return self

    @property
    def crops(self) -> int:
        """The crops of a clip."""
        return {"three": 3, "ten": 10}.get(self.crop, 1)

    @property
    def views_per_video(self) -> int | None:
        """The views of a video, clips times crops; None where they depend on its length."""
        return (self.dense + self.uniform) * self.crops if self.clips == "counted" else None

    def segments_of(self, clip: ClipConfig) -> int:
        """Return S, the segments of a scored clip, for networks that were trained on clips as in `clip`."""
        return clip.segments if self.segments is None else self.segments

    def stored_as(self, name: str) -> str:
        """Return the name of the protocol that networks are scored by, `name` being this one's."""
        return self.within or name

    def misfit(self, clip: ClipConfig) -> str | None:
        """Return why networks that were trained on clips as in `clip` cannot be scored like this, or None."""
        if self.clips == "all" and (segments := self.segments_of(clip)) > 1:
            return f"clips: all takes clips of neighbouring frames, but these have {segments} segments; add segments: 1"
        return None


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
        default={}, description="label of a row that is about fewer views: a protocol that is part of the table's"
    )

    def rows(self) -> list[list[str]]:
        """Return the networks of each of its rows; of a mean, those of what it is over."""
        return [split_members(one) for members in self.models.values() for one in averaged(members)]


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
