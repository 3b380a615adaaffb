"""What is made to stay is not looked at again, nor anything when a program ends; what is to be done then is done."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from mml_core.runtime.compute import prepare_compute
from mml_core.runtime.garbage import made_to_stay


class Knot:
    def __init__(self) -> None:
        self.me = self


def test_what_stays_is_passed_over_and_later_garbage_is_collected() -> None:
    try:
        with made_to_stay():
            assert not gc.isenabled()
            stays = weakref.ref(Knot())
        assert gc.isenabled() and gc.get_freeze_count() > 0
        gone = weakref.ref(Knot())
        gc.collect()
        assert stays() is not None and gone() is None
    finally:
        gc.unfreeze()
    gc.collect()
    assert stays() is None


PROGRAM = """
import atexit, tempfile, weakref
from mml_core.runtime.garbage import passed_over_at_exit

class Knot:
    def __init__(self):
        self.me = self
    def __del__(self):
        print("looked at")

{call}
knot, folder = Knot(), tempfile.TemporaryDirectory()
atexit.register(print, "atexit")
weakref.finalize(knot, print, "finalizer")
print(folder.name)
"""


@pytest.mark.parametrize(("call", "looks"), [("passed_over_at_exit()", False), ("", True)])
def test_a_program_that_ends_looks_at_nothing_and_does_what_it_was_told_to(call: str, looks: bool) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM.format(call=call)], capture_output=True, text=True)
    folder, *said = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {"atexit", "finalizer"} <= {*said} and not Path(folder).exists()
    assert ("looked at" in said) == looks


TORCH = """
import gc, sys
from mml_core.runtime.compute import prepare_compute

assert "torch" not in sys.modules
with prepare_compute(1, "cpu"):
    print(gc.isenabled(), gc.get_freeze_count() > 50_000)
"""


def test_torch_is_made_to_stay() -> None:
    assert subprocess.check_output([sys.executable, "-c", TORCH], text=True).split() == ["True", "True"]


def test_what_was_made_before_does_not_stay_with_a_torch_that_is_there_already() -> None:
    before = gc.get_freeze_count()
    with prepare_compute(1, "cpu"):
        assert gc.get_freeze_count() == before
