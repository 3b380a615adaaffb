"""Writing files so that a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mml_core.errors import InputError

#: A temporary file of another machine, whose processes cannot be looked up, is dead if unwritten for so long.
_ABANDONED_SEC = 24 * 3600.0
#: Libraries that write in C or Rust tell the number in their text only.
_NUMBER = re.compile(r"\berrno = (\d+)|\bos error (\d+)")
#: With these `flock` ends where a file system has no locks (NFS, Lustre, some FUSE).
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_AGAIN = "then run the same command again: what was complete is kept"
_HINTS = {
    errno.ENOSPC: f"the disk is full: free space on it, {_AGAIN}",
    errno.EDQUOT: f"the quota is used up: free space, {_AGAIN}",
    errno.EFBIG: f"the file system allows no file so large: use another one, {_AGAIN}",
    errno.EACCES: f"give this user the right to it (see ls -l of it and its folder), {_AGAIN}",
    errno.EPERM: f"give this user the right to it (see ls -l and lsattr), {_AGAIN}",
    errno.EROFS: f"the file system is read-only: mount it for writing, or let results be elsewhere, {_AGAIN}",
    errno.EIO: f"the disk or the network file system failed: see dmesg, {_AGAIN}",
    errno.ESTALE: f"the network file system lost the file: mount it anew, {_AGAIN}",
    errno.ENOLCK: f"the file system has no locks: mount it with them (Lustre: -o flock), {_AGAIN}",
}


@contextmanager
def replaced_on_success(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; after the block it is flushed to disk and renamed to `path`.

    Where the block raises, the temporary file is removed and `path` is left as it was. Temporary files that killed
    processes left for the same `path` are removed first. Raises InputError where the file system refuses.
    """
    with disk_faults_told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path)
        temporary = temporary_path(path)
        try:
            temporary.touch()
            mode = stat.S_IMODE(temporary.stat().st_mode)
            yield temporary
            temporary.chmod(mode)  # safetensors makes files that nobody else may read
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` by `replaced_on_success`."""
    with replaced_on_success(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def temporary_path(path: Path) -> Path:
    """Return this process's temporary name beside `path`: it says on which machine which process writes."""
    pid = os.getpid()
    return path.with_name(f"{path.name}.tmp.{_machine()}.{pid}.{_began(pid)}")


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files for `path` whose processes are dead.

    A process that lives on this machine keeps its own, told by its number and when it began, since numbers are used
    again. Those of other machines (or containers) go once nobody wrote to them for a day.
    """
    start = f"{path.name}.tmp."
    for other in path.parent.iterdir():
        if other.name.startswith(start) and _abandoned(other, other.name.removeprefix(start)):
            with contextlib.suppress(OSError):  # another process removes it too, or only its owner may
                other.unlink()


@contextmanager
def disk_faults_told(path: Path) -> Iterator[None]:
    """Turn what the file system refuses in the block into an InputError: file (`path` if unknown), cause, hint."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if told := disk_fault(error, path):
            raise told from error
        raise


def disk_fault(error: Exception, path: Path | None = None) -> InputError | None:
    """Return what to tell people of `error` where it is one of the file system, of the environment and not of us."""
    number = error.errno if isinstance(error, OSError) and error.errno else _number_in(str(error))
    if number not in _HINTS:
        return None
    file = error.filename if isinstance(error, OSError) and error.filename is not None else path
    return InputError(os.strerror(number), file=file, hint=_HINTS[number])


def _number_in(text: str) -> int | None:
    found = _NUMBER.search(text)
    return int(found[1] or found[2]) if found else None


def _abandoned(file: Path, owner: str) -> bool:
    machine, _, process = owner.partition(".")
    if machine == _machine():
        pid, _, began = process.partition(".")
        return not pid.isdigit() or _began(int(pid)) != began
    try:
        return time.time() - file.stat().st_mtime > _ABANDONED_SEC
    except FileNotFoundError:
        return False


@functools.cache
def _machine() -> str:
    """Return what stands for the machine or container: processes elsewhere have numbers of their own."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{socket.gethostname()} {numbers}".encode()).hexdigest()[:8]


def _began(pid: int) -> str:
    """Return when a living process began, in ticks since the machine did; `0` if unknown, nothing if it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        pass
    except OSError:
        return "0"
    else:
        return "" if fields[0] in "ZX" else fields[19]
    if Path("/proc/self/stat").exists():
        return ""
    try:  # no Linux
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "0"
