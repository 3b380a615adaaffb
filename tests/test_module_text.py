"""What is read from modules' texts and kept: taken again, read anew after edits, and never in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mml_core.plan import module_text as texts
from mml_core.plan.module_text import ModuleText, module_text
from mml_core.runtime.user_cache import private_folder

SOURCE = 'from mml_core.a import b  # why\n\n\ndef f():\n    """Say."""\n    return 1\n'


def forget() -> None:
    for function in (private_folder, texts._read, module_text):
        function.cache_clear()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache/mml/program"
    forget()


def read(file: Path, source: str = SOURCE) -> ModuleText:
    """What another process would make of a file with this text."""
    file.write_text(source)
    forget()
    return module_text(file, "mml_core.m")


def test_the_next_process_takes_what_is_there(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(tmp_path / "one.py")
    assert first == ModuleText(("mml_core.a", "mml_core.a.b"), SOURCE, texts.normalised(SOURCE))
    monkeypatch.setattr(texts, "normalised", None)
    assert read(tmp_path / "elsewhere.py") == first
    with pytest.raises(TypeError):  # nothing but what was read before
        read(tmp_path / "one.py", SOURCE + "x = 1\n")


def test_an_edit_is_read_anew(kept: Path, tmp_path: Path) -> None:
    before = read(tmp_path / "one.py")
    assert read(tmp_path / "one.py", SOURCE.replace("why", "how")).normalised == before.normalised
    assert read(tmp_path / "one.py", SOURCE.replace("return 1", "return 2")).normalised != before.normalised
    assert read(tmp_path / "one.py", SOURCE.replace("import b", "import c")).names == ("mml_core.a", "mml_core.a.c")


def test_another_version_of_the_reader_reads_anew(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(tmp_path / "one.py")
    monkeypatch.setattr(texts, "normalised", lambda source: "other")
    assert read(tmp_path / "one.py").normalised != "other"
    reader = texts._reader()
    monkeypatch.setattr(texts, "_reader", lambda: reader + b"another Python")
    assert read(tmp_path / "one.py").normalised == "other"


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", "\x00" * 9])
def test_a_damaged_file_is_made_anew(kept: Path, tmp_path: Path, damage: str) -> None:
    whole = read(tmp_path / "one.py")
    (file,) = kept.iterdir()
    file.write_text(damage)
    assert read(tmp_path / "one.py") == whole
    assert json.loads(file.read_text())["text"] == whole.normalised


def test_a_folder_that_others_can_write_to_is_not_used(kept: Path, tmp_path: Path) -> None:
    kept.mkdir(parents=True)
    kept.chmod(0o777)
    assert read(tmp_path / "one.py").normalised == texts.normalised(SOURCE)
    assert list(kept.iterdir()) == []


def test_without_a_place_for_it_texts_are_read(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert read(tmp_path / "one.py").normalised == texts.normalised(SOURCE)
