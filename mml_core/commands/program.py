"""The command mml: the subcommands by name, and how all of them end.

A subcommand is a function in a file of its own, whose parameters are its command line and whose docstring is its help.
It is imported when it is called, and imports what it needs inside, so that `mml --help` takes no time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from mml_core import __version__
from mml_core.runtime import cli

#: Exit status of a command that Ctrl-C ended: 128 + SIGINT.
EXIT_INTERRUPTED = 130


def _told(error: CycloptsError) -> str:
    """Return what is wrong with the command line, in the form of all errors of the project."""
    command = " ".join(["mml", *(error.command_chain or ())])
    return f"error: {error}\n  Hint: `{command} --help` says what there is"


#: What each subcommand is for, by the name of its module and function.
COMMANDS = {
    "start": "From a folder of videos to a data set file, a recipe for this machine, and what it costs.",
    "run": "From videos to trained networks, a table and a report: the workflow, a line a job.",
    "bundle": "A row of a table as one folder: a model that is used without the project.",
    "predict": "Say what is in videos, with a bundle.",
    "features": "What the networks of a bundle see in videos, for other programs.",
    "export": "A bundle as a graph that other programs run: ONNX, torch.export.",
    "cost": "What the tables of a recipe take, before anything is trained.",
    "flow": "Optical flow of a video: as colours, HDF5 or .flo files.",
    "split": "Record the drawn split of a data set, so that it is kept.",
    "doubles": "Keep the videos that show the same, so that training is kept apart from them.",
    "attention": "Where a place of a frame looks in a network with attention blocks.",
}


def command_line(called: str | None) -> App:
    """Return the command mml with all subcommands; the one that is `called` has its docstring as help, not one line."""
    app = App(
        name="mml",
        help="Multi-modal video action classification: from a folder of videos to a classifier that is used.",
        help_format="markdown",
        version=__version__,
        default_parameter=Parameter(negative=()),  # no --no-x beside --x
        error_formatter=_told,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, summary in COMMANDS.items():
        app.command(f"mml_core.commands.{name}:{name}", name=name, help=None if name == called else summary)
    return app


class _Console(Console):
    """Where help and faults of the command line are printed; a reader that left is told to `cli.run`."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def call(words: Sequence[str]) -> None:
    """Do what the command line `words` asks for; raises InputError, and SystemExit(2) for a line that is wrong."""
    faults = _Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    command_line(words[0] if words else None)(words, console=_Console(), error_console=faults)


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command line `words` (default: the process's own) and leave the process, see `cli.run`.

    A command line that is wrong ends with 2, Ctrl-C with 130 and one line.
    """
    try:
        cli.run(lambda: call(sys.argv[1:] if words is None else words))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
