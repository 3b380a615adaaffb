"""One process at a time per training: a lock beside the state, given back however the process ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mml_core.io.files import NO_LOCKS


@contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Hold the lock of the training whose state is in the folder `state`; waits, with a line, while another has it.

    Goes on without, with a warning, on a file system that has no locks: Snakemake's own lock of the folder is left.
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.with_name(f"{state.name}.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that trains this stage ({lock.name})", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            print(
                f"WARNING: {lock.name}: this file system has no locks ({error.strerror}): training without\n"
                "  Hint: run one snakemake at a time in this folder, or mount it with locks (Lustre: -o flock)",
                flush=True,
            )
        yield
