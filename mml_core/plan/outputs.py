"""Names of results: no two products of a run may be the same file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.plan.products import CLAIMS

#: Folders of `results/` that are about no data set.
_FOLDERS = ("benchmarks", "figures", "submissions", "tables")


def check_outputs(recipes: Mapping[str, RecipeConfig], datasets: Iterable[str]) -> None:
    """Raise InputError where two products of a run's `recipes`, by name, or of its `datasets` would be one file."""
    for name in datasets:
        if name in _FOLDERS:
            raise InputError(
                f"results/{name} is a folder of the workflow's own, and cannot be that of data set {name!r}",
                hint="give the file of config/datasets another name",
            )
    makers: dict[str, str] = {}
    for recipe, block in recipes.items():
        for name in block.submissions:
            if name in makers:
                raise InputError(
                    f"recipes {makers[name]} and {recipe} both make results/submissions/{name}.csv",
                    hint="rename one of the submissions, or choose the recipes in two runs",
                )
            makers[name] = recipe
    _check_tables(recipes)


def _check_tables(recipes: Mapping[str, RecipeConfig]) -> None:
    """Raise InputError where a name is that of an own table in one recipe and of a published one in another."""
    own = {name: recipe for recipe, block in recipes.items() for name in block.tables}
    for recipe, block in recipes.items():
        for name in (*block.published, *block.subsets, *([CLAIMS] if block.claims else [])):
            if name in own:
                raise InputError(
                    f"recipe {own[name]} has a table {name!r}, and recipe {recipe} a published one of that name",
                    hint="rename one of them, or choose the recipes in two runs",
                )
