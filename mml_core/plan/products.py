"""What the tables, claims and submissions of a recipe are made from: score files, and what their scripts are asked."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.config.subsets import SubsetsTable
from mml_core.config.tables import PublishedConfig, split_members
from mml_core.plan.claims import Pair, claimed_networks
from mml_core.plan.published import stored_by
from mml_core.plan.stages import (
    STAGE_SPLITS,
    DataPlan,
    Stage,
    protocol_key,
    stages_of,
    table_references,
    with_ancestors,
)
from mml_core.plan.subsets import subset_rows

#: Name of the table of a recipe's claims.
CLAIMS = "claims"
Runs = Sequence[Mapping[str, Stage]]  # of each run, the stages by name


class ScoreFile(NamedTuple):
    """A score file: all networks of a stage, on one split of the data set that it was trained on, by one protocol."""

    dataset: str
    stage: str  # key
    split: str
    protocol: str  # key


class Source(NamedTuple):
    """A score file that a product is made from."""

    run: int
    stage: Stage
    file: ScoreFile
    settings: ProtocolConfig

    @property
    def label(self) -> str:
        """What scripts call it: STAGE, or STAGE@RUN for another run than the first."""
        return run_label(self.stage.name, self.run)


def run_label(stage: str, run: int) -> str:
    """Return what scripts call a stage of a run."""
    return f"{stage}@{run}" if run else stage


def table_names(recipe: RecipeConfig) -> list[str]:
    """Return the names of all that `recipe` makes in a folder of its own: tables of all kinds, and claims."""
    return [*recipe.tables, *recipe.published, *recipe.subsets, *([CLAIMS] if recipe.claims else [])]


def table_script(recipe: RecipeConfig, name: str) -> str:
    """Return the name of the script that makes the table `name`."""
    if name in recipe.tables:
        return "ensemble_table"
    if name in recipe.subsets:
        return "subsets_table"
    return "published_table" if name in recipe.published else "claims_table"


def table_sources(
    recipe: RecipeConfig, runs: Runs, claims: Mapping[str, Sequence[Pair]] | None, name: str
) -> list[Source]:
    """Return the score files of all `runs` that the table `name` is made from; `claims` are the recipe's, resolved."""
    if name in recipe.tables:
        table = recipe.tables[name]
        return score_sources(recipe, runs, table_references(table, runs[0]), table.split, table.protocol)
    if name in recipe.published:
        return _published_sources(recipe, runs, recipe.published[name])
    if name in recipe.subsets:
        return _subset_sources(recipe, runs, recipe.subsets[name])
    needed = claimed_networks(claims or {})
    split = recipe.claims.split if recipe.claims else "validation"
    found = [one for protocol, refs in needed.items() for one in score_sources(recipe, runs, refs, split, protocol)]
    return _each_once(found)


def trained_on(sources: Iterable[Source], stages: Mapping[str, Stage]) -> list[str]:
    """Return the names of the data sets that the stages of `sources`, and all that they start from, are trained on."""
    names = with_ancestors({source.stage.name for source in sources}, stages)
    return sorted({stages[name].document.dataset for name in names})


def grouped_stages(sources: Iterable[Source], data: Mapping[str, DataPlan]) -> dict[str, str]:
    """Return the data set of each stage of `sources` whose videos are in groups; `data` are all data sets by name."""
    datasets = {source.stage.name: source.file.dataset for source in sources}
    return {stage: name for stage, name in datasets.items() if data[name].groups}


def submission_sources(recipe: RecipeConfig, runs: Runs, name: str) -> list[Source]:
    """Return the score files that the submission `name` is made from: those of the first run."""
    block = recipe.submissions[name]
    return score_sources(recipe, runs[:1], split_members(block.members), block.split, block.protocol)


def table_request(dataset: str, recipe: RecipeConfig, name: str) -> dict[str, Any]:
    """Return what the script of the table `name` is asked: the recipe's blocks with their defaults, as plain data."""
    content = recipe.model_dump(mode="json", include={"protocols", "tables", "published", "subsets", "claims"})
    about = {"recipe": recipe.name, "dataset": dataset}
    if name in recipe.tables:
        protocol = content["protocols"][recipe.tables[name].protocol]
        elsewhere = {key: stage.dataset for key, stage in recipe.stages.items() if stage.dataset}
        table = {"table": content["tables"][name], "protocol": protocol}
        return {**about, "name": name, "datasets": elsewhere, **table}
    if name in recipe.published:
        return {**about, "name": name, "table": content["published"][name], "protocols": content["protocols"]}
    if name in recipe.subsets:
        table = recipe.subsets[name]
        stored = recipe.protocols[table.protocol].stored_as(table.protocol)
        protocols = {"protocol": content["protocols"][table.protocol], "stored": content["protocols"][stored]}
        rows = [row.model_dump(mode="json") for row in subset_rows(recipe, table)]
        return {**about, "name": name, "table": content["subsets"][name], **protocols, "rows": rows}
    return {**about, **{key: content[key] for key in ("claims", "published", "protocols")}}


def published_names(recipe: RecipeConfig, name: str) -> list[str]:
    """Return the names of the published values (files of `config/published`) that the table `name` is about."""
    if name == CLAIMS:
        return sorted({table.published for table in recipe.published.values()})
    return [recipe.published[name].published] if name in recipe.published else []


def read_modalities(dataset: str, stages: Mapping[str, Stage]) -> list[str]:
    """Return the names of the modalities of `dataset` that those of `stages` read that are trained on it."""
    documents = [stage.document for stage in stages.values()]
    return sorted({name for document in documents if document.dataset == dataset for name in document.modalities})


def made_splits(data: DataPlan, stages: Iterable[Stage], scored: Iterable[Source]) -> dict[str, list[str]]:
    """Return the splits of which each modality of `data` is made, by name, for training `stages` and score files.

    Frames are decoded of all splits.
    """
    read = [(stage.document, stage.document.modalities, STAGE_SPLITS) for stage in stages]
    for source in scored:
        document = source.stage.document
        read.append((document, document.scored_modalities(source.settings.missing), (source.file.split,)))
    made = {data.config.rgb_name: {video.split for video in data.annotations.videos}}
    for document, modalities, splits in read:
        for name in modalities if document.dataset == data.config.name else ():
            made.setdefault(name, set()).update(splits)
    return {name: sorted(splits) for name, splits in sorted(made.items())}


def scored_by(
    recipe: RecipeConfig, name: str, stage: Stage, missing: Collection[str] = ()
) -> dict[str, ProtocolConfig]:
    """Return the protocol that a stage is scored by for the recipe's protocol `name`, which is stored, by its key.

    Modalities that are `missing` are so besides. It says nothing of modalities that the stage's networks do not read.
    Where another protocol of the recipe is just that, the score file is the same.
    """
    settings = recipe.protocols[name].without(missing).read_by(stage.document.scored_modalities())
    alike = [other for other, block in recipe.protocols.items() if block == settings]
    return {protocol_key(name if name in alike or not alike else alike[0], settings): settings}


def score_protocols(recipe: RecipeConfig, runs: Runs) -> dict[str, ProtocolConfig]:
    """Return all protocols by which stages of `runs` may be scored, by key."""
    own = {protocol_key(name, settings): settings for name, settings in recipe.protocols.items()}
    of_stages = [
        scored_by(recipe, name, stage) for stages in runs for stage in stages.values() for name in recipe.protocols
    ]
    of_subsets = [one for table in recipe.subsets.values() for one in _subset_sources(recipe, runs, table)]
    own |= {one.file.protocol: one.settings for one in of_subsets}
    return own | {key: settings for found in of_stages for key, settings in found.items()}


def score_sources(
    recipe: RecipeConfig,
    runs: Runs,
    references: Iterable[str],
    split: str,
    protocol: str,
    missing: Collection[str] = (),
) -> list[Source]:
    """Return the score files of the networks `references` in each of `runs`: of `protocol`, or of what it is within.

    Modalities that are `missing` are so besides.
    """
    stored, references = recipe.protocols[protocol].stored_as(protocol), list(references)
    return [
        Source(run, stages[name], ScoreFile(stages[name].document.dataset, stages[name].key, split, key), settings)
        for run, stages in enumerate(runs)
        for name in stages_of(references, stages)
        for key, settings in scored_by(recipe, stored, stages[name], missing).items()
    ]


def _published_sources(recipe: RecipeConfig, runs: Runs, table: PublishedConfig) -> list[Source]:
    """Return the score files of the networks of a published table, each once."""
    needed: dict[str, list[str]] = {}
    for name, rows in table.by_protocol().items():
        needed.setdefault(stored_by(table, recipe.protocols, name), []).extend(itertools.chain(*rows))
    found = [one for name, refs in needed.items() for one in score_sources(recipe, runs, refs, table.split, name)]
    return _each_once(found)


def _subset_sources(recipe: RecipeConfig, runs: Runs, table: SubsetsTable) -> list[Source]:
    """Return the score files of the networks of a table of subsets, each once."""
    needed: dict[tuple[str, ...], list[str]] = {}
    for row in subset_rows(recipe, table):
        for member, missing in row.missing.items():
            needed.setdefault(missing, []).append(member)
    return _each_once(
        source
        for missing, members in needed.items()
        for source in score_sources(recipe, runs, members, table.split, table.protocol, missing)
    )


def _each_once(sources: Iterable[Source]) -> list[Source]:
    """Return `sources` without those that are there already."""
    return list({(one.run, one.file): one for one in sources}.values())
