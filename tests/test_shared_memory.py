"""Machines whose processes cannot share memory: told apart from other faults of the system."""

from __future__ import annotations

import errno
import multiprocessing
from typing import NoReturn

import pytest

from mml_core.errors import InputError
from mml_core.runtime.cli import run
from mml_core.runtime.shared_memory import shared_memory_fault


def refuse(_context: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_other_faults_are_none_of_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    nameless = OSError(errno.EROFS, "Read-only file system")
    assert shared_memory_fault(nameless) is None, "semaphores can be made here"
    monkeypatch.setattr(multiprocessing.context.BaseContext, "Lock", refuse)
    assert isinstance(shared_memory_fault(nameless), InputError)
    assert shared_memory_fault(OSError(errno.EROFS, "Read-only file system", "weights.pth")) is None
    assert shared_memory_fault(ValueError("no such thing")) is None


def test_the_cause_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(multiprocessing.context.BaseContext, "Lock", refuse)

    def work() -> None:
        multiprocessing.get_context().Lock()

    with pytest.raises(SystemExit) as ended:
        run(work)
    assert ended.value.code == 1
    assert "error: /dev/shm: processes cannot share memory (No space left on device)" in capsys.readouterr().err
