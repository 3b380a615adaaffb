"""What all command-line scripts share: how they end."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mml_core.errors import InputError
from mml_core.io.files import disk_fault
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
    try:
        main()
        if sys.stdout is not None:  # closed before it began (`>&-`): nothing is printed at all
            sys.stdout.flush()
    except Stopped as reason:
        print(f"stopped: {reason}", file=sys.stderr, flush=True)
        leave(EXIT_STOPPED)
    except (BrokenPipeError, SystemExit):  # --help leaves by the latter
        if _nobody_reads():
            leave(EXIT_UNREAD)
        raise
    except InputError as error:
        # a loader process hands its error over with its traceback as text; people need the end of that only
        message = str(error).rpartition(f"{InputError.__module__}.{InputError.__name__}: ")[2].rstrip()
        print(f"error: {message}", file=sys.stderr, flush=True)
        leave(1)
    except Exception as error:
        told = shared_memory_fault(error) or disk_fault(error)
        if told is None:
            raise
        print(f"error: {told}", file=sys.stderr, flush=True)
        leave(1)
    leave(0)


def leave(status: int) -> NoReturn:
    """End this process as the interpreter does, but for freeing all that was made, which the system does at once.

    With torch that takes half a second. Threads that are not daemons are waited for, and what was to be done at the end
    (atexit, finalizers of weakref) is done.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody reads, or it was closed
                stream.flush()
    os._exit(status)


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
