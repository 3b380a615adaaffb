"""Snakemake as a child process: started without a shell, read line by line, ended in an orderly way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

#: The program that is started: Snakemake with this interpreter for its jobs.
SNAKEMAKE = "mml_core.runtime.command"
_PASSED_ON = (signal.SIGINT, signal.SIGTERM)


class Run:
    """A run of Snakemake under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        #: The signal that this process was sent, and passed on; None where there was none.
        self.stopped_by: int | None = None
        self.lines: IO[str] = process.stdout

    def stop(self, number: int, frame: FrameType | None = None) -> None:
        """Pass a request to stop on, as Ctrl-C does: to Snakemake and its jobs, which save what they go on from."""
        self.stopped_by = number
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)

    def status(self) -> int:
        """Wait for the end and return the exit status."""
        return self._process.wait()


@contextmanager
def running(words: Sequence[str], root: Path) -> Iterator[Run]:
    """Run the workflow of the checkout `root` in the current folder with the command line `words`, told as events.

    Requests to stop that this process gets while the block lasts are passed on. It is a process group of its own, so
    that Ctrl-C at a terminal reaches it once, from here.
    """
    command = [sys.executable, "-m", SNAKEMAKE, *words]
    before = {number: signal.getsignal(number) for number in _PASSED_ON}
    process = None
    try:
        # handlers first: what is ignored here, as in the background of a script, would be ignored there as well
        for number in _PASSED_ON:
            signal.signal(number, signal.default_int_handler)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment(root, os.environ),
            process_group=0,
        )
        run = Run(process)
        for number in _PASSED_ON:
            signal.signal(number, run.stop)
        yield run
    finally:
        if process is not None:
            _end(process)
        for number, handler in before.items():
            signal.signal(number, handler)


def environment(root: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the child: with the logger plugin, and the checkout's own library, on Python's path."""
    places = [str(root), str(root / "workflow" / "logger"), inherited.get("PYTHONPATH", "")]
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def _end(process: subprocess.Popen[str]) -> None:
    """End a child that still runs, since its reader failed."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait()
    process.stdout.close()
