"""What each table of a recipe needs: score files, and the stages behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.plan.claims import resolve_claims
from mml_core.plan.products import ScoreFile, Source, submission_sources, table_names, table_sources
from mml_core.plan.published import published_rows
from mml_core.plan.stages import Stage, with_ancestors


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
    rows = published_rows(recipe.published, recipe.protocols, file=file, root=root)
    claims = resolve_claims(recipe.claims, recipe.protocols, rows, file=file) if recipe.claims else None
    sources = {name: table_sources(recipe, runs, claims, name) for name in table_names(recipe)}
    sources |= {f"submission {name}": submission_sources(recipe, runs, name) for name in recipe.submissions}
    return [_table(recipe.name, name, needed, runs) for name, needed in sources.items()]


def _table(recipe: str, name: str, sources: Sequence[Source], runs: Sequence[Mapping[str, Stage]]) -> Table:
    stages: dict[str, Stage] = {}
    for run, planned in enumerate(runs):
        names = [source.stage.name for source in sources if source.run == run]
        stages |= {planned[stage].key: planned[stage] for stage in with_ancestors(names, planned)}
    return Table(recipe, name, stages, {source.file: source.settings for source in sources})


def joined(tables: Sequence[Table]) -> Table:
    """Return all `tables` as one: what they share is there once."""
    stages: dict[str, Stage] = {}
    scores: dict[ScoreFile, ProtocolConfig] = {}
    for table in tables:
        stages |= table.stages
        scores |= table.scores
    return Table("", "all tables", stages, scores)
