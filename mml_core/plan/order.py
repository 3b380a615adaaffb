"""The order of stages: each after those that it starts from, or learns from the histories of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import is_reference, split_reference
from mml_core.config.stage import StageConfig
from mml_core.errors import InputError


def topological_order(recipe: RecipeConfig, file: Path) -> list[str]:
    """Return the names of the stages of `recipe`, each after those that it needs.

    Raises InputError, naming `file` and key, for cycles and for references to networks that there are not.
    """
    order: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in path:
            raise InputError("stages need each other: " + " -> ".join([*path, name]), file=file)
        path.append(name)
        for key, reference in needed_networks(recipe.stages[name]):
            stage, parent, _ = split_reference(reference)
            if stage not in recipe.stages or parent not in recipe.stages[stage].trained:
                known = sorted(f"{key}.{one}" for key, value in recipe.stages.items() for one in value.trained)
                raise InputError(
                    f"stages.{name}.{key}: no trained network {reference!r}",
                    file=file,
                    hint=f"the recipe has {', '.join(known)}",
                )
            visit(stage)
        path.pop()
        order.append(name)

    for name in recipe.stages:
        visit(name)
    return order


def needed_networks(stage: StageConfig) -> Iterator[tuple[str, str]]:
    """Yield the networks of other stages that a stage needs, each behind the key that names it."""
    for network, block in stage.networks.items():
        for init in filter(is_reference, block.starts.values()):
            yield f"networks.{network}.init", init
    for reference in stage.objective.histories.values():
        yield "objective", reference
