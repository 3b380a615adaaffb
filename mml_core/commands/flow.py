"""The subcommand `mml flow`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def flow(*words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Hand the words over."""
    from mml_core.flow_command.command import flow_of_video

    flow_of_video(words)
