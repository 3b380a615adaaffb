"""How command-line programs end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mml_core.runtime.cli import EXIT_UNREAD

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
