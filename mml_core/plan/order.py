"""The order of stages: each after those that it starts from."""

from __future__ import annotations

from pathlib import Path

from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import is_reference, split_reference
from mml_core.errors import InputError


def topological_order(recipe: RecipeConfig, file: Path) -> list[str]:
    """Return the names of the stages of `recipe`, each after those that it starts from.

    Raises InputError, naming `file` and key, for cycles and for references to networks that there are not.
    """
    order: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in path:
            raise InputError("stages start from each other: " + " -> ".join([*path, name]), file=file)
        path.append(name)
        for network, block in recipe.stages[name].networks.items():
            for init in filter(is_reference, block.starts.values()):
                stage, parent, _ = split_reference(init)
                if stage not in recipe.stages or parent not in recipe.stages[stage].trained:
                    known = sorted(f"{key}.{one}" for key, value in recipe.stages.items() for one in value.trained)
                    raise InputError(
                        f"stages.{name}.networks.{network}.init: no trained network {init!r}",
                        file=file,
                        hint=f"the recipe has {', '.join(known)}",
                    )
                visit(stage)
        path.pop()
        order.append(name)

    for name in recipe.stages:
        visit(name)
    return order
