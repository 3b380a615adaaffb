"""Runs of snakemake in forks of a process that has imported it and the project, which takes longer than a dry run.

The process is a fork of the tests' own, made by the first run. A checkout whose `mml_core` was edited has its own
imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import marshal
import os
import re
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from snakemake import cli
from unedited import PROJECT, forget_unless_unedited, remember_unedited


def snakemake(folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Return exit status and output of snakemake in `folder`, whose own modules it imports, as `python -m` does.

    environment: over that of the tests.
    """
    server = _server()  # before there are pipes, of which a fork would keep the ends open
    output, output_end = os.pipe()
    status, status_end = os.pipe()
    request = marshal.dumps((str(folder), list(arguments), {**os.environ, **environment}))
    with os.fdopen(output, encoding="utf-8", errors="replace") as said, os.fdopen(status, "rb") as ended:
        try:
            socket.send_fds(server, [struct.pack("q", len(request))], [output_end, status_end])
            server.sendall(request)
        finally:
            os.close(output_end)
            os.close(status_end)
        text = said.read()
        return struct.unpack("q", ended.read(8))[0], text


@functools.cache
def _server() -> socket.socket:
    """Fork the process that forks for each run, and return the socket that it listens to; it ends with this process."""
    ours, its = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _end_with_parent()
        try:
            _serve(its)
        finally:
            os._exit(0)
    its.close()
    return ours


def _serve(requests: socket.socket) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mml_core"]:
        del sys.modules[name]  # tests have used it
    remember_unedited()
    sys.path.insert(0, str(PROJECT))
    for file in [PROJECT / "Snakefile", *(PROJECT / "rules").glob("*.smk")]:
        for name in re.findall(r"^ *from (mml_core[\w.]*) import", file.read_text(encoding="utf-8"), re.MULTILINE):
            import_module(name)
    sys.path.pop(0)
    while True:
        header, ends, _, _ = socket.recv_fds(requests, 8, 2)
        if not header:
            return
        (size,) = struct.unpack("q", header)
        folder, arguments, environment = marshal.loads(requests.recv(size, socket.MSG_WAITALL))
        output, status = ends
        child = os.fork()
        if child == 0:
            _end_with_parent()
            requests.close()
            os.close(status)
            _run(Path(folder), arguments, environment, output)
        os.close(output)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(OSError):  # the tests gave up on it
            os.write(status, struct.pack("q", code))
        os.close(status)


def _end_with_parent() -> None:
    """Have this process killed when its parent is, where the system can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _run(folder: Path, arguments: Sequence[str], environment: Mapping[str, str], output: int) -> NoReturn:
    status = 1
    try:
        for standard in (1, 2):
            os.dup2(output, standard)
        sys.stdout = sys.stderr = os.fdopen(output, "w", buffering=1, encoding="utf-8")
        sys.modules["snakemake.shell"].STDOUT = sys.stdout  # it took that of the tests when it was imported
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        forget_unless_unedited(folder)
        sys.path.insert(0, str(folder))
        cli.main(list(arguments))
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(status)
