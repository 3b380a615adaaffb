"""A child process that is fed on: its output is read while it runs, its messages never hold it up, time and memory are
limited.

Decoding damaged or hostile files may crash or hang a process, so it takes place in one that can be given up.
"""

from __future__ import annotations

import atexit
import math
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

#: A limit of processor time that is as good as none.
_MOST_SEC = 1 << 31

#: Signals by which a scheduler, the system or a person ends a process; a decoder that breaks down ends by other ones.
SIGNALS_OF_OTHERS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class Child:
    """A process that runs: `stdout` is what it writes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._timed_out = process, threading.Event()
        self.stdout: IO[bytes] = process.stdout

    @property
    def timed_out(self) -> bool:
        """Whether it was given up since it took longer than its limit."""
        return self._timed_out.is_set()

    def wait(self) -> int:
        """Return its exit status once it ended; the negative number of the signal that ended it."""
        return self._process.wait()

    def give_up(self) -> None:
        """End it for having taken too long."""
        self._timed_out.set()
        self._process.kill()


@contextmanager
def child_process(
    command: Sequence[str], limit_sec: float, take: Callable[[str], None], *, memory_bytes: int | None = None
) -> Iterator[Child]:
    """Run `command` while the block lasts, at most `limit_sec` seconds; after the block no process or thread is left.

    memory_bytes: what its address space may grow to; beyond it, the child's allocations fail (Linux; no limit
    elsewhere).
    take: is given each line of standard error, in a thread of its own; all of them have been by the end of the block.
    The block reads `stdout` to its end before it waits. A signal to this process's group does not reach the child: it
    must not look like a fault of what the child works on.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    )
    child = Child(process)
    limit_process(process.pid, limit_sec, memory_bytes)
    messages = threading.Thread(target=_read, args=(process.stderr, take), daemon=True)
    timer = threading.Timer(limit_sec, child.give_up)
    timer.daemon = True

    def end() -> None:
        timer.cancel()
        process.kill()
        process.wait()
        messages.join()
        timer.join()
        process.stdout.close()
        process.stderr.close()

    # an exception's traceback can keep a suspended generator alive, and this block with it, until the interpreter ends,
    # which neither the timer nor a reader that waits for messages may then hold up
    atexit.register(end)
    messages.start()
    timer.start()
    try:
        yield child
    finally:
        end()
        atexit.unregister(end)


def limit_process(pid: int, limit_sec: float, memory_bytes: int | None) -> None:
    """Limit what a process may use, from outside: code that runs between fork and exec is not safe beside threads.

    The limit of processor time is for a child whose parent was killed, so that nobody gives it up: a few threads for
    the whole of its time.
    """
    if not sys.platform.startswith("linux"):
        return
    cpu_sec = min(8 * math.ceil(limit_sec) + 60, _MOST_SEC)
    with suppress(ProcessLookupError, PermissionError):  # it has ended already, or has other rights than we
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_sec, cpu_sec))
        if memory_bytes is not None:
            resource.prlimit(pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _read(stream: IO[bytes], take: Callable[[str], None]) -> None:
    for line in stream:
        take(line.decode("utf-8", "replace").rstrip())
