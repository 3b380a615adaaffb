"""The subcommand `mml attention`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def attention(*words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Hand the words over."""
    from mml_core.attention_command.command import show_attention

    show_attention(words)
