"""Jobs of test runs in forks of one process that has imported the libraries: importing takes longer than most jobs.

A run of the workflow starts `python workflow/scripts/….py` for each job. Here `python` on its PATH is a script that
hands over its arguments, environment, folder and standard streams to a server, which forks; the fork runs the script as
Python would, and so do the processes that it starts by `sys.executable`. A checkout whose `mml_core` was edited has its
own imported; of others, what the server has imported serves. Runs about
being killed, and those of Slurm, have real processes instead (`Checkout.start`).
"""

from __future__ import annotations

import atexit
import functools
import marshal
import os
import re
import runpy
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from unedited import PROJECT, forget_unless_unedited, remember_unedited

#: What jobs import from outside.
LIBRARIES = (
    *("av", "h5py", "jinja2", "matplotlib.pyplot", "numba", "numpy", "pandas", "PIL.Image", "pydantic.main"),
    *("safetensors.torch", "scipy.stats", "torch", "torch._dynamo", "torch.utils.data", "torch.utils.tensorboard"),
    *("torchvision.transforms.v2", "yaml"),
)
#: The script `python`. `-S` and `-E` because it needs the standard library only and is to start at once. What is no
#: script (`python -c …`) is left to Python itself.
CLIENT = """#!{python} -SE
import marshal, os, signal, socket, struct, sys

words = [word for word in sys.argv[1:] if word != "-u"]
if words[0].startswith("-"):
    os.execv({python!r}, [{python!r}, *words])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = marshal.dumps((os.getcwd(), words, dict(os.environ)))
socket.send_fds(server, [struct.pack("q", len(request))], [0, 1, 2])
server.sendall(request)
(child,) = struct.unpack("q", server.recv(8))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: os.kill(child, number))
(status,) = struct.unpack("q", server.recv(8))
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@functools.cache
def folder_of_python() -> Path:
    """Start this process's server and return the folder whose `python` it serves, for the beginning of a PATH.

    Where the system cannot tell of a process's end by a file (it is no Linux), that is Python's own folder.
    """
    if not hasattr(os, "pidfd_open"):
        return Path(sys.executable).parent
    folder = Path(tempfile.mkdtemp(prefix="jobs"))
    client = folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=str(folder / "socket")))
    client.chmod(0o755)
    # as jobs have it: threads of BLAS and OpenMP are settled when the libraries are loaded
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "MPLBACKEND": "agg"}
    server = subprocess.Popen(
        [sys.executable, __file__, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert server.stdout is not None
    server.stdout.readline()  # it listens now
    atexit.register(_end, server, folder)
    return folder


def _end(server: subprocess.Popen[bytes], folder: Path) -> None:
    server.kill()
    server.wait()
    shutil.rmtree(folder)


def _serve(folder: Path) -> NoReturn:
    """Fork for each client; end when the process that started this one has ended."""
    for library in LIBRARIES:
        import_module(library)
    remember_unedited()
    sys.path.insert(0, str(PROJECT))
    for script in (PROJECT / "workflow" / "scripts").glob("*.py"):
        for name in re.findall(r"^from (mml_core[\w.]*) import", script.read_text(encoding="utf-8"), re.MULTILINE):
            import_module(name)
    sys.path.pop(0)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    events = selectors.DefaultSelector()
    events.register(listener, selectors.EVENT_READ)
    events.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in events.select():
            if key.fileobj is sys.stdin:
                os._exit(0)
            elif key.fileobj is listener:
                client, _ = listener.accept()
                child = _fork(client, str(folder / "python"))
                ended = os.pidfd_open(child)
                events.register(ended, selectors.EVENT_READ, (child, client))
                events.register(client, selectors.EVENT_READ, child)
            elif isinstance(key.fileobj, socket.socket):  # the client is gone, whose process the child is
                events.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
            else:
                _tell(events, key)


def _tell(events: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Tell the client how its child has ended."""
    child, client = key.data
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    events.unregister(key.fileobj)
    os.close(key.fd)
    if client.fileno() in events.get_map():
        events.unregister(client)
        client.sendall(struct.pack("q", status))
    client.close()


def _fork(client: socket.socket, python: str) -> int:
    header, streams, _, _ = socket.recv_fds(client, 8, 3)
    (size,) = struct.unpack("q", header)
    folder, words, environment = marshal.loads(client.recv(size, socket.MSG_WAITALL))
    child = os.fork()
    if child == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        _run(python, folder, words, environment)
    for stream in streams:
        os.close(stream)
    client.sendall(struct.pack("q", child))
    return child


def _run(python: str, folder: str, words: list[str], environment: dict[str, str]) -> NoReturn:
    """Be `python WORDS` in `folder`."""
    status = 1
    try:
        os.closerange(3, 256)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None  # which the libraries looked up in the server's environment
        sys.argv, sys.executable = words, python
        sys.path[0] = str(Path(words[0]).resolve().parent)
        sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
        forget_unless_unedited(Path(words[0]).resolve().parents[2])
        runpy.run_path(words[0], run_name="__main__")
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
