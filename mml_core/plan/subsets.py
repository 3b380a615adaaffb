"""Which networks stand behind a row of a table of subsets, and what each of them lacks."""

from __future__ import annotations

import itertools

from mml_core.config.base import Strict
from mml_core.config.recipe import RecipeConfig
from mml_core.config.subsets import SubsetsTable


class SubsetRow(Strict):
    """A row of a table of subsets, with some of the modalities that it reads."""

    row: str  # name of the network or ensemble
    modalities: tuple[str, ...]  # that are there
    missing: dict[str, tuple[str, ...]]  # by member, sorted, what it reads and is not there; without those left out


def subset_rows(recipe: RecipeConfig, table: SubsetsTable) -> list[SubsetRow]:
    """Return the rows of `table`, one of `recipe`: of each network and ensemble, that with all modalities first.

    M modalities have 2^M - 1 subsets that are not empty, the larger ones first.
    """
    return [
        SubsetRow(row=name, modalities=present, missing=_missing(recipe.reads(ensemble.members), present))
        for name, ensemble in table.rows.items()
        for present in subsets(recipe.reads(ensemble.members))
    ]


def subsets(reads: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return all non-empty subsets of the modalities that the members of a row read, `reads` by member."""
    names = list(dict.fromkeys(itertools.chain(*reads.values())))
    return [chosen for size in range(len(names), 0, -1) for chosen in itertools.combinations(names, size)]


def _missing(reads: dict[str, tuple[str, ...]], present: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    lacks = {member: tuple(sorted(set(names) - set(present))) for member, names in reads.items()}
    return {member: names for member, names in lacks.items() if len(names) < len(set(reads[member]))}
