"""What each table of a recipe is made from: score files, and the stages behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mml_core.config.recipe import RecipeConfig
from mml_core.config.tables import ProtocolConfig, split_members
from mml_core.plan.claims import claimed_networks, resolve_claims
from mml_core.plan.published import published_rows
from mml_core.plan.stages import Stage, protocol_key, stages_of, table_references, with_ancestors


class ScoreFile(NamedTuple):
    """A score file: all networks of a stage, on one split by one protocol."""

    stage: str  # key
    split: str
    protocol: str  # key


@dataclass(frozen=True)
class Table:
    """A table with all that has to be there before it can be made."""

    recipe: str
    name: str
    stages: Mapping[str, Stage]  # by key, with all ancestors, each after those that it starts from
    scores: Mapping[ScoreFile, ProtocolConfig]


def needed_tables(recipe: RecipeConfig, runs: Sequence[Mapping[str, Stage]], *, file: Path, root: Path) -> list[Table]:
    """Return what each table, published table, the claims and each submission of `recipe` needs.

    Args:
        recipe: the recipe.
        runs: stages by name of each of its runs, one a seed.
        file: the recipe's, for errors.
        root: the project's folder, which has the published values.

    Raises InputError where published tables or claims do not fit their data.
    """

    def table(
        name: str, groups: Iterable[tuple[Iterable[str], str, str]], among: Sequence[Mapping[str, Stage]]
    ) -> Table:
        stages: dict[str, Stage] = {}
        scores: dict[ScoreFile, ProtocolConfig] = {}
        for references, split, protocol in groups:
            settings = recipe.protocols[protocol]
            key = protocol_key(protocol, settings)
            for run in among:
                names = stages_of(references, run)
                scores |= {ScoreFile(run[stage].key, split, key): settings for stage in names}
                stages |= {run[stage].key: run[stage] for stage in with_ancestors(names, run)}
        return Table(recipe.name, name, stages, scores)

    tables = [
        table(name, [(table_references(block, runs[0]), block.split, block.protocol)], runs)
        for name, block in recipe.tables.items()
    ]
    tables += [
        table(name, [(block.references(), block.split, block.protocol)], runs)
        for name, block in recipe.published.items()
    ]
    rows = published_rows(recipe.published, recipe.protocols, file=file, root=root)
    if recipe.claims:
        networks = claimed_networks(resolve_claims(recipe.claims, recipe.protocols, rows, file=file))
        groups = [(references, recipe.claims.split, protocol) for protocol, references in networks.items()]
        tables.append(table("claims", groups, runs))
    # a submission is made by the first run
    tables += [
        table(f"submission {name}", [(split_members(block.members), block.split, block.protocol)], runs[:1])
        for name, block in recipe.submissions.items()
    ]
    return tables


def joined(tables: Sequence[Table]) -> Table:
    """Return all `tables` as one: what they share is there once."""
    stages: dict[str, Stage] = {}
    scores: dict[ScoreFile, ProtocolConfig] = {}
    for table in tables:
        stages |= table.stages
        scores |= table.scores
    return Table("", "all tables", stages, scores)
