"""A child process with a limit: it never outlives the block, its messages are all taken, a stop is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mml_core.video.child import child_process

NEVER_ENDS = "import threading; print('on', flush=True); threading.Event().wait()"


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_output_messages_and_status() -> None:
    text = "import sys; print('out'); sys.stderr.buffer.write(b'one \\n' + 4096 * b'two\\xff\\n'); sys.exit(3)"
    messages: list[str] = []
    with child_process(python(text), 60, messages.append) as child:
        assert child.stdout.read() == b"out\n"
        assert child.wait() == 3
    assert messages == ["one", *["two\ufffd"] * 4096]
    assert not child.timed_out


def test_it_is_given_up_after_its_limit() -> None:
    with child_process(python(NEVER_ENDS), 0.5, print) as child:
        assert child.stdout.read() in (b"on\n", b"")
        assert child.wait() == -9
    assert child.timed_out


def test_it_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    with pytest.raises(KeyError), child_process(python(NEVER_ENDS), 60, print) as child:
        assert child.stdout.readline() == b"on\n"
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(started[0].pid, 0)
    assert not child.timed_out


def test_an_interpreter_does_not_wait_for_a_block_that_nobody_leaves(tmp_path: Path) -> None:
    """As an exception's traceback does that keeps a generator alive; the limit is of a year."""
    program = tmp_path / "holds.py"
    program.write_text(
        "import sys, mml_core.video.child as c\n"
        f"held = c.child_process([sys.executable, '-c', {NEVER_ENDS!r}], 3e7, print)\n"
        "child = held.__enter__()\n"
        "print(child._process.pid, flush=True)\n"
        "raise SystemExit(5)\n"
    )
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 5
    with pytest.raises(ProcessLookupError):
        os.kill(int(ended.stdout), 0)
