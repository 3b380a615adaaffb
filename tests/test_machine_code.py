"""Machine code of Numba's functions that is kept: taken again, made anew after edits, and never in the way."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mml_core.runtime import machine_code
from mml_core.runtime.user_cache import private_folder

CALLED = """
from mml_core.runtime.machine_code import kept_njit

@kept_njit(nogil=True)
def inner(x):
    return x + {number}
"""
CALLING = """
from inner_{name} import inner
from mml_core.runtime.machine_code import kept_njit

@kept_njit(nogil=True)
def outer(x):
    return 2 * inner(x)
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Python takes bytecode for that of a text of the same size and second
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    private_folder.cache_clear()
    machine_code._digest.cache_clear()
    yield tmp_path / "cache/mml/numba"
    private_folder.cache_clear()
    machine_code._digest.cache_clear()


def written(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Write two modules of which one calls the other's function, and import them as a new process would."""
    folder.mkdir(exist_ok=True)
    (folder / "inner_m.py").write_text(CALLED.format(number=number))
    (folder / "outer_m.py").write_text(CALLING.format(name="m"))
    monkeypatch.syspath_prepend(folder)
    for name in ("inner_m", "outer_m"):
        sys.modules.pop(name, None)
    machine_code._digest.cache_clear()
    return importlib.import_module("outer_m")


def compiled_anew(module: ModuleType) -> bool:
    return bool(module.outer.stats.cache_misses)


def test_the_next_process_takes_what_is_there(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = written(tmp_path / "one", 1, monkeypatch)
    assert first.outer(3) == 8 and compiled_anew(first)
    second = written(tmp_path / "one", 1, monkeypatch)
    assert second.outer(3) == 8 and not compiled_anew(second)


def test_another_place_and_another_time_of_the_same_text_compile_nothing(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "one", 1, monkeypatch).outer(3)
    moved = written(tmp_path / "other", 1, monkeypatch)
    os.utime(tmp_path / "other/outer_m.py", (0, 0))
    assert moved.outer(3) == 8 and not compiled_anew(moved)


def test_an_edit_of_what_a_function_calls_compiles_it_anew(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "one", 1, monkeypatch).outer(3)
    edited = written(tmp_path / "one", 5, monkeypatch)
    assert edited.outer(3) == 16 and compiled_anew(edited)


@pytest.mark.parametrize("size", [0, 10, 100])
def test_a_damaged_file_is_made_anew(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    written(tmp_path / "one", 1, monkeypatch).outer(3)
    files = [path for path in kept.rglob("*") if path.is_file()]
    assert len(files) == 4, "an index and code, for two functions"
    for path in files:
        path.write_bytes(path.read_bytes()[:size])
    again = written(tmp_path / "one", 1, monkeypatch)
    assert again.outer(3) == 8 and compiled_anew(again)
    mended = written(tmp_path / "one", 1, monkeypatch)
    assert mended.outer(3) == 8 and not compiled_anew(mended)


def test_a_folder_that_others_can_write_to_is_not_used(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.mkdir(parents=True)
    kept.chmod(0o777)
    assert written(tmp_path / "one", 1, monkeypatch).outer(3) == 8
    assert list(kept.iterdir()) == [], "what it holds would be executed"


def test_without_a_place_for_it_functions_are_compiled(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    assert written(tmp_path / "one", 1, monkeypatch).outer(3) == 8
    assert (tmp_path / "cache").read_text() == "a file"


def test_a_full_disk_does_not_end_the_job(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", kept], check=False, capture_output=True)
    try:
        if not kept.is_mount():
            pytest.skip("no right to mount a small disk")
        kept.chmod(0o700)
        assert written(tmp_path / "one", 1, monkeypatch).outer(3) == 8
    finally:
        subprocess.run(["umount", kept], check=False, capture_output=True)


def test_flow_is_computed_by_code_that_is_kept() -> None:
    from mml_core.flow.numba.level import solve_level

    if private_folder("numba") is None:
        pytest.skip("this user has no cache folder")
    assert type(solve_level._cache) is machine_code._Cache
