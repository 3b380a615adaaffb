"""How command-line programs end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mml_core.runtime.cli import EXIT_STOPPED, EXIT_UNREAD

PROGRAM = """
import sys
from mml_core.runtime.cli import run
{main}
run(main)
"""
MANY = "def main():\n    for number in range(100_000):\n        print(number)"
LAST = "def main():\n    print('the whole is in the buffer until the end')"
HELP = "def main():\n    print('usage: …')\n    sys.exit(0)"
#: A pipe of its own is closed, and not the one to whoever reads.
INNER = "def main():\n    raise BrokenPipeError('the decoder has gone')"


@pytest.mark.parametrize("main", [MANY, LAST, HELP])
def test_a_closed_pipe_is_no_traceback(main: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(main=main)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", EXIT_UNREAD)


@pytest.mark.parametrize(("main", "status"), [(LAST, 0), (HELP, 0), (INNER, 1)])
def test_output_may_be_closed_from_the_beginning(main: str, status: int) -> None:
    command = ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, PROGRAM.format(main=main)]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == status
    assert (ended.stderr == "") == (status == 0)


def test_another_closed_pipe_is_a_fault() -> None:
    command = [sys.executable, "-c", PROGRAM.format(main=INNER)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1 and "the decoder has gone" in ended.stderr


#: What is done in the end, a thread that goes on, text in the buffer, and something that is never freed.
MUCH = """
import atexit, tempfile, threading, time, weakref
from mml_core.runtime.cli import Stopped
from mml_core.errors import InputError

class Kept:
    def __del__(self):
        print("freed")

def main():
    global folder, kept
    folder, kept = tempfile.TemporaryDirectory(), Kept()
    kept.me = kept
    atexit.register(print, "atexit")
    weakref.finalize(kept, print, "finalizer")
    threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
    print(folder.name)
    {end}"""
#: The counter of torch imports Triton, which complains in the end where some of its objects are freed and some are not.
COUNTS = """
from mml_core.runtime.compute import prepare_compute

def main():
    with prepare_compute(1, "cpu"):
        import torch.utils.flop_counter"""


def _ended(main: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM.format(main=main)], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("end", "status", "told"),
    [
        ("pass", 0, ""),
        ("raise InputError('no such thing')", 1, "error: no such thing\n"),
        ("raise OSError(28, 'No space left on device')", 1, "error: "),
        ("raise Stopped('by somebody')", EXIT_STOPPED, "stopped: by somebody\n"),
    ],
)
def test_the_end_does_what_it_was_told_to_and_frees_nothing(end: str, status: int, told: str) -> None:
    ended = _ended(MUCH.format(end=end))
    folder, *said = ended.stdout.splitlines()
    assert ended.returncode == status and said == ["thread", "atexit", "finalizer"] and not Path(folder).exists()
    assert ended.stderr.startswith(told) and bool(ended.stderr) == bool(told) and "Traceback" not in ended.stderr


def test_libraries_do_not_complain_in_the_end() -> None:
    ended = _ended(COUNTS)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
