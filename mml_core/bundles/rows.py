"""Which networks a row of a table is: by the name that the row has, or by the networks themselves."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import REFERENCE_PATTERN, split_reference
from mml_core.config.tables import PublishedNetworks, averaged, split_members
from mml_core.errors import InputError
from mml_core.evaluation.members import Fusion
from mml_core.plan.stages import Stage, table_networks

_JOINT = " + "


@dataclass(frozen=True)
class Row:
    """A row of a table of a recipe: networks with their weights, and how they are scored."""

    name: str
    recipe: str
    table: str
    split: str
    protocol: str  # name
    members: Mapping[str, float]  # weight by `stage.network` or `stage.network.part`
    fusion: Fusion = "logits"


def find_row(
    recipes: Mapping[str, RecipeConfig], stages: Mapping[str, Mapping[str, Stage]], name: str, table: str | None
) -> Row:
    """Return the row `name` of `table`, or of the ensemble table, which the report is about, or the first that has it.

    name: that of the row, or networks of the recipe joined by ` + `, scored as the rows of the table are.
    stages: by recipe and name. Raises InputError, with the nearest names, where there is none.
    """
    rows = [row for recipe in recipes.values() for row in _rows(recipe, stages[recipe.name])]
    if table is not None and table not in {row.table for row in rows}:
        known = dict.fromkeys(row.table for row in rows)
        raise InputError(f"no table is called {table!r}", hint=f"there are {', '.join(known) or 'none'}")
    candidates = [row for row in rows if table in (None, row.table)]
    if found := next((row for row in candidates if row.name == name), None):
        return found
    if found := _joined(candidates, recipes, stages, name):
        return found
    names = list(dict.fromkeys(row.name for row in candidates))
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    there = f"There are {', '.join(map(repr, names[:20]))}"
    raise InputError(f"no row is called {name!r}", hint=f"{meant}{there}")


def _rows(recipe: RecipeConfig, stages: Mapping[str, Stage]) -> Iterator[Row]:
    """Yield the rows of the tables of `recipe`, those of its ensemble table first."""
    for name, table in sorted(recipe.tables.items(), key=lambda one: one[0] != "ensemble_table"):
        for reference in table_networks(table, stages):
            yield Row(reference, recipe.name, name, table.split, table.protocol, {reference: 1.0})
        for label, row in table.ensembles.items():
            yield Row(label, recipe.name, name, table.split, table.protocol, row.members, row.fusion)
    for name, published in recipe.published.items():
        if isinstance(published, PublishedNetworks):
            for label, members in published.models.items():
                protocol = published.row_protocols.get(label, published.protocol)
                if len(averaged(members)) == 1:
                    weights = dict.fromkeys(split_members(averaged(members)[0]), 1.0)
                    yield Row(label, recipe.name, name, published.split, protocol, weights)


def _joined(
    rows: list[Row], recipes: Mapping[str, RecipeConfig], stages: Mapping[str, Mapping[str, Stage]], name: str
) -> Row | None:
    """Return the networks that `name` itself names as a row of the first table of a recipe that has them all."""
    members = name.split(_JOINT)
    if not all(re.match(REFERENCE_PATTERN, member) for member in members):
        return None
    for row in rows:
        known = {
            f"{stage}.{reference}"
            for stage, block in recipes[row.recipe].stages.items()
            for reference in block.references
        }
        if set(members) <= known and all(split_reference(one)[0] in stages[row.recipe] for one in members):
            return Row(name, row.recipe, row.table, row.split, row.protocol, dict.fromkeys(members, 1.0))
    return None
