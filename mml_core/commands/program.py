"""The command mml: the subcommands by name, and how all of them end.

A subcommand is a function in a file of its own, whose parameters are its command line and whose docstring is its help. It is
imported when it is called, and imports what it needs inside, so that `mml --help` takes no time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError
from rich.console import Console

from mml_core import __version__
from mml_core.runtime import cli

#: Exit status of a command that Ctrl-C ended: 128 + SIGINT.
EXIT_INTERRUPTED = 130


def _told(error: CycloptsError) -> str:
    """Return what is wrong with the command line, in the form of all errors of the project."""
    command = " ".join(["mml", *(error.command_chain or ())])
    return f"error: {error}\n  Hint: `{command} --help` says what there is"


app = App(
    name="mml",
    help="Multi-modal video action classification: from a folder of videos to a classifier that is used.",
    help_format="plaintext",
    version=__version__,
    error_formatter=_told,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(
    "mml_core.commands.cost:cost", name="cost", help="What the tables of a recipe take, before anything is trained."
)
app.command("mml_core.commands.flow:flow", name="flow", help="Optical flow of a video: as colours, HDF5 or .flo files.")
app.command(
    "mml_core.commands.attention:attention",
    name="attention",
    help="Where a place of a frame looks in a network with attention blocks.",
)


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command line `words` (default: the process's own) and leave the process, see `cli.run`.

    A command line that is wrong ends with 2, Ctrl-C with 130 and one line.
    """
    error_console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        cli.run(lambda: app(sys.argv[1:] if words is None else words, error_console=error_console))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
