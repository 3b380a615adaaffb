"""Stages that may end before their time (`diverged: row`), and what can be made of them: rows that say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mml_core.config.recipe import RecipeConfig
from mml_core.config.references import split_reference
from mml_core.config.tables import split_members
from mml_core.errors import InputError
from mml_core.plan.order import needed_networks

#: Kinds of figures that are made of accuracies alone: a point that there is not is not drawn.
FIGURES_OF_ACCURACIES = ("curve", "fusion", "speed")


def check_divergence(recipe: RecipeConfig, file: Path) -> None:
    """Raise InputError, naming `file` and key, where something needs more than a row of a stage that may diverge.

    Rows of tables, of subsets, and of published networks or samplings say that a training diverged, claims that they
    are untested, and figures of accuracies leave the point out.
    """
    diverging = {name for name, stage in recipe.stages.items() if stage.diverged == "row"}
    for where, reference in _uses(recipe) if diverging else ():
        if (stage := split_reference(reference)[0]) in diverging:
            raise InputError(
                f"{where}: {reference} may be of a training that diverged (stages.{stage}.diverged: row)",
                file=file,
                hint="it can be in rows of tables, in claims, and in figures of accuracies; or remove the key",
            )


def _uses(recipe: RecipeConfig) -> Iterator[tuple[str, str]]:
    """Yield what needs networks themselves, or all of their scores: the key, and a network."""
    for name, stage in recipe.stages.items():
        yield from ((f"stages.{name}.{key}", reference) for key, reference in needed_networks(stage))
    for name, table in recipe.published.items():
        if table.kind in ("pairs", "positions"):
            yield from ((f"published.{name}", reference) for reference in table.references())
    for name, figure in recipe.figures.items():
        if figure.kind not in FIGURES_OF_ACCURACIES:
            yield from ((f"figures.{name}", reference) for reference in figure.references())
    for name, submission in recipe.submissions.items():
        yield from ((f"submissions.{name}", reference) for reference in split_members(submission.members))
