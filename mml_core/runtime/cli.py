"""What all command-line scripts share: how they end."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mml_core.errors import InputError
from mml_core.io.files import disk_fault
from mml_core.runtime.garbage import passed_over_at_exit
from mml_core.runtime.shared_memory import shared_memory_fault

#: Exit status of a training that was asked to stop (SIGTERM, SIGINT) and saved its state: 128 + SIGTERM.
EXIT_STOPPED = 143
#: Exit status where the reader of what is printed has gone: 128 + SIGPIPE.
EXIT_UNREAD = 141


class Stopped(Exception):
    """Raised where work stops on request after saving what is needed to go on."""


def named_file(text: str) -> tuple[str, Path]:
    """Parse the command-line word NAME=FILE, as a type of argparse."""
    name, separator, path = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, got {text!r}")
    return name, Path(path)


def run(main: Callable[[], None]) -> NoReturn:
    """Call `main` and leave the process: 0 on success, 1 with a readable message on an InputError, 143 when stopped.

    What the file system refuses (full, read-only, no permission), and a machine without shared memory, are told like an
    InputError.
    Where nobody reads on (`mml cost … | head`), it ends with 141 and says nothing, as programs do that SIGPIPE ends.
    Other exceptions are faults of the program and keep their traceback.
    """
    passed_over_at_exit()
    try:
        main()
        if sys.stdout is not None:  # closed before it began (`>&-`): nothing is printed at all
            sys.stdout.flush()
    except Stopped as reason:
        print(f"stopped: {reason}", file=sys.stderr, flush=True)
        sys.exit(EXIT_STOPPED)
    except (BrokenPipeError, SystemExit):  # --help leaves by the latter
        if _nobody_reads():
            sys.exit(EXIT_UNREAD)
        raise
    except InputError as error:
        # a loader process hands its error over with its traceback as text; people need the end of that only
        message = str(error).rpartition(f"{InputError.__module__}.{InputError.__name__}: ")[2].rstrip()
        print(f"error: {message}", file=sys.stderr, flush=True)
        sys.exit(1)
    except Exception as error:
        told = shared_memory_fault(error) or disk_fault(error)
        if told is None:
            raise
        print(f"error: {told}", file=sys.stderr, flush=True)
        sys.exit(1)
    sys.exit(0)


def _nobody_reads() -> bool:
    """Whether standard output is a pipe without a reader; if so, nothing is printed any more, also at the end."""
    if sys.stdout is None:
        return False
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
