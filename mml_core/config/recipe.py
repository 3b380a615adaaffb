"""The recipe: stages, the weights that they hand over, and the tables made from their scores (`config/recipes/*.yaml`)."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from mml_core.config.base import Strict, merge, possible_path, read_yaml, validate
from mml_core.config.dataset import Name
from mml_core.config.extended import Layer, check_overlaid, place_of_key
from mml_core.config.figures import FigureConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.references import split_reference
from mml_core.config.scored_figures import ScoredFigure
from mml_core.config.stage import StageConfig
from mml_core.config.subsets import MOST_MODALITIES, SubsetsTable
from mml_core.config.tables import (
    ClaimsConfig,
    PublishedConfig,
    PublishedNetworks,
    SubmissionConfig,
    TableConfig,
    TableName,
    split_members,
)
from mml_core.config.views import lacking_views
from mml_core.errors import InputError

#: Distance between the seeds of a stage's runs, so that those of different stages of one recipe do not meet.
SEED_STRIDE = 1000


class RecipeConfig(Strict):
    """Stages, protocols, and what is made of their scores."""

    name: Name = Field(description="set from the file's name; never written in the file")
    description: str = Field(default="", description="one line for people")
    stages: dict[Name, StageConfig] = Field(min_length=1, description="training jobs by name")
    protocols: dict[Name, ProtocolConfig] = Field(
        default={"one_view": ProtocolConfig()}, description="ways to score a video, by name"
    )
    tables: dict[Name, TableConfig] = Field(
        min_length=1, description="tables by name; results/NAME.csv joins those of all chosen recipes"
    )

    published: dict[TableName, PublishedConfig] = Field(
        default={}, description="tables of a paper by name: results/tables/NAME.csv"
    )
    subsets: dict[TableName, SubsetsTable] = Field(
        default={},
        description="tables over subsets of modalities by name: results/tables/NAME.csv (docs/robustness.md)",
    )
    claims: ClaimsConfig | None = Field(
        default=None, description="statements that are tested: results/tables/claims.csv"
    )
    submissions: dict[Name, SubmissionConfig] = Field(
        default={}, description="files for a test server by name: results/submissions/NAME.csv"
    )
    figures: dict[TableName, FigureConfig] = Field(
        default={}, description="figures by name: results/figures/NAME.csv and NAME.png (docs/figures.md)"
    )
    seeds: int = Field(
        default=1,
        ge=1,
        le=20,
        description="runs of every stage, each with seeds of its own; tables then give mean, deviation and intervals",
    )

    @model_validator(mode="after")
    def _references(self) -> RecipeConfig:
        self._check_protocols()
        self._check_names()
        for name, table in self.tables.items():
            named = set() if table.networks == "all" else set(table.networks)
            for label, ensemble in table.ensembles.items():
                if "\n" in label or not label.strip():
                    raise ValueError(f"tables.{name}.ensembles: {label!r} is no name for a row")
                named |= set(ensemble.members)
            self._check(f"tables.{name}", table.protocol, named)
        for name, published in self.published.items():
            rows = published.row_protocols.values() if isinstance(published, PublishedNetworks) else ()
            for protocol in (published.protocol, *rows):
                self._check(f"published.{name}", protocol, published.references())
        for name, submission in self.submissions.items():
            self._check(f"submissions.{name}", submission.protocol, split_members(submission.members))
        self._check_subsets()
        self._check_figures()
        self._check_claims()
        return self

    def _check_names(self) -> None:
        if "ensemble_table" not in self.tables:
            raise ValueError("tables: expected a table called ensemble_table, which the report is about")
        taken = {"claims", *(f"{name}_matrix" for name in self.published)}
        blocks = {"tables": self.tables, "published": self.published, "subsets": self.subsets}
        for block, names in blocks.items():
            reserved = taken | {"data_quality"} if block == "tables" else taken
            if twice := reserved & set(names):
                raise ValueError(f"{block}: {min(twice)} is the name of another file of results")
            taken |= set(names)

    def reads(self, references: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the modalities that networks take in testing, by reference; a part takes those of its network."""
        named = {reference: split_reference(reference)[:2] for reference in references}
        return {
            reference: self.stages[stage].networks[network].tested_modalities
            for reference, (stage, network) in named.items()
        }

    def _check_protocols(self) -> None:
        for name, protocol in self.protocols.items():
            if protocol.within is None:
                continue
            self._check_protocol(f"protocols.{name}.within", protocol.within)
            stored = self.protocols[protocol.within]
            if reason := ("which is within another one itself" if stored.within else lacking_views(stored, protocol)):
                raise ValueError(f"protocols.{name}: not within {protocol.within}: {reason}")

    def _check_subsets(self) -> None:
        for name, table in self.subsets.items():
            for label, row in table.rows.items():
                self._check(f"subsets.{name}", table.protocol, row.members)
                read = {modality for names in self.reads(row.members).values() for modality in names}
                if len(read) > MOST_MODALITIES:
                    raise ValueError(
                        f"subsets.{name}: {label} reads {len(read)} modalities, at most {MOST_MODALITIES} are possible"
                    )
            if self.protocols[table.protocol].missing:
                raise ValueError(f"subsets.{name}.protocol: {table.protocol} has missing modalities already")

    def _check_figures(self) -> None:
        for name, figure in self.figures.items():
            if isinstance(figure, ScoredFigure):
                self._check_protocol(f"figures.{name}.protocol", figure.protocol)
            self._check_networks(f"figures.{name}", figure.references())
            for reference in figure.references():
                stage, network, part = split_reference(reference)
                if reason := figure.misfit(self.stages[stage].networks[network], part):
                    raise ValueError(f"figures.{name}: {reference} {reason}")

    def _check_claims(self) -> None:
        for claim in self.claims.statements if self.claims else ():
            where = f"claims.statements.{claim.name}"
            for side in (side for pair in claim.comparisons for side in (pair.better, pair.worse)):
                if isinstance(side, str):
                    self._check(where, self.claims.protocol, split_members(side))
                elif side[0] not in self.published or self.published[side[0]].kind == "positions":
                    raise ValueError(
                        f"{where}: {side[0]!r} is no published table of this recipe whose rows can be compared"
                    )

    def _check(self, where: str, protocol: str, references: Iterable[str]) -> None:
        """Raise ValueError where a protocol or a network is not of this recipe."""
        self._check_protocol(f"{where}.protocol", protocol)
        self._check_networks(where, references)

    def _check_protocol(self, where: str, protocol: str) -> None:
        if protocol not in self.protocols:
            raise ValueError(f"{where}: no protocol {protocol!r}; there are {sorted(self.protocols)}")

    def _check_networks(self, where: str, references: Iterable[str]) -> None:
        known = {f"{stage}.{name}" for stage, block in self.stages.items() for name in block.references}
        if missing := sorted(set(references) - known):
            raise ValueError(f"{where}: no trained network {missing[0]!r}; there are {sorted(known)}")


def seeded(recipe: RecipeConfig, run: int) -> RecipeConfig:
    """Return `recipe` as its run number `run` (from 0) trains it: the first run has the seeds as they are written."""
    stages = {
        name: stage.model_copy(update={"seed": stage.seed + run * SEED_STRIDE}) for name, stage in recipe.stages.items()
    }
    return recipe.model_copy(update={"stages": stages})


def load_recipe(path: Path, shipped: Path | None = None) -> RecipeConfig:
    """Read and validate the recipe at `path`: first what it extends, over it its own keys, then its defaults.

    What a recipe extends is beside it, or else in the folder `shipped`.
    """
    layers: list[Layer] = []
    document = _read_extended(path, (), shipped, layers)
    if "name" in document:
        raise InputError("'name' is the name of the file and cannot be set", file=path, hint="remove the key")
    check_overlaid(document, layers)
    filled = _fill_defaults(document, path) | {"name": path.stem}
    return validate(RecipeConfig, filled, path, functools.partial(place_of_key, layers=layers))


def _read_extended(path: Path, visited: tuple[Path, ...], shipped: Path | None, layers: list[Layer]) -> dict[str, Any]:
    """Return the document at `path` laid over the documents that its `extends` lists, from left to right.

    The files are added to `layers`, each behind those that it is laid over.
    """
    if path in visited:
        raise InputError("extends itself: " + " -> ".join(p.name for p in (*visited, path)), file=path)
    own = read_yaml(path)
    names = own.pop("extends", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"extends: expected a list of file names, got {names!r}", file=path)
    document: dict[str, Any] = {}
    for name in names:
        try:
            file = possible_path(path.parent / name)
        except ValueError as reason:
            raise InputError(f"extends: {name!r:.80}: {reason}", file=path) from reason
        if shipped and not file.exists():
            file = shipped / name
        document = merge(document, _read_extended(file, (*visited, path), shipped, layers))
    layers.append((path, own))
    return merge(document, own)


def _fill_defaults(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Lay each stage over `defaults.stage` and each network over `defaults.network`, and look its `init` up.

    Drops `defaults` and `first_weights`.
    """
    defaults, sources = document.pop("defaults", {}), document.pop("first_weights", {})
    if not isinstance(sources, Mapping) or not all(isinstance(value, str) for value in sources.values()):
        raise InputError("first_weights: expected a mapping of names to imagenet, random or a weight file", file=path)
    if not isinstance(defaults, Mapping) or set(defaults) - {"stage", "network"}:
        raise InputError("defaults: expected the keys 'stage' and 'network'", file=path)
    of_stage, of_network = defaults.get("stage", {}), defaults.get("network", {})
    stages = document.get("stages", {})
    if not all(isinstance(block, Mapping) for block in (of_stage, of_network, stages)):
        raise InputError("defaults.stage, defaults.network and stages: expected mappings", file=path)
    filled = {}
    for name, stage in stages.items():
        if isinstance(stage, Mapping) and isinstance(stage.get("networks"), Mapping):
            networks = {
                key: _with_source(merge(of_network, network), sources) if isinstance(network, Mapping) else network
                for key, network in stage["networks"].items()
            }
            stage = merge(of_stage, {**stage, "networks": networks})
        filled[name] = stage
    return {**document, "stages": filled}


def _with_source(network: dict[str, Any], sources: Mapping[str, str]) -> dict[str, Any]:
    """Return `network` with the names in its `init` replaced by what `sources` says they stand for."""
    match network.get("init"):
        case str(init):
            return {**network, "init": sources.get(init, init)}
        case dict(inits):
            named = {part: sources.get(init, init) if isinstance(init, str) else init for part, init in inits.items()}
            return {**network, "init": named}
        case _:
            return network
