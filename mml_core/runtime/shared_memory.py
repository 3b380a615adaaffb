"""Whether processes can share memory, which all that load clips, render or verify beside each other need."""

from __future__ import annotations

import multiprocessing
import os

from mml_core.errors import InputError


def require_shared_memory() -> None:
    """Raise InputError where this machine gives processes no shared memory.

    On Linux semaphores are files in /dev/shm, which some containers lack, or have for reading only.
    """
    try:
        multiprocessing.get_context().Lock()
    except OSError as cause:
        raise InputError(
            f"processes cannot share memory ({os.strerror(cause.errno or 0)}): it is missing, full, or not for writing",
            file="/dev/shm",  # noqa: S108 - where the system keeps it, not a file of ours
            hint="in a container, mount it: docker run --ipc=host (or --shm-size=2g), apptainer --bind /dev/shm, "
            "in Kubernetes an emptyDir with `medium: Memory`; elsewhere: mount -o remount,rw,mode=1777 /dev/shm",
        ) from cause


def shared_memory_fault(error: Exception) -> InputError | None:
    """Return what to tell people of `error` where its cause is that there is no shared memory.

    The system's errors name no file then.
    """
    if isinstance(error, OSError) and error.filename is None:
        try:
            require_shared_memory()
        except InputError as told:
            return told
    return None
