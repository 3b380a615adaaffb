"""The subcommand `mml cost`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def cost(*words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Hand the words over."""
    from mml_core.cost.command import print_cost

    print_cost(words)
