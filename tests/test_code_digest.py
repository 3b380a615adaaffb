"""The digest of program text: what counts as a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from mml_core.plan.code_digest import code_digest

SOURCE = '"""Docstring."""\n\ndef f(x):\n    """Doc."""\n    # comment\n    return x + 1\n'


def digest_of(folder: Path, text: str) -> str:
    (folder / "a.py").write_text(text)
    return code_digest(folder, ["a.py"])


@pytest.mark.parametrize(
    "same",
    [
        SOURCE.replace("comment", "another comment"),
        SOURCE.replace("Doc.", "Other words."),
        SOURCE.replace("x + 1", "(x\n        + 1)"),
        SOURCE.replace('"""Docstring."""\n', ""),
    ],
)
def test_words_and_layout_do_not_count(tmp_path: Path, same: str) -> None:
    assert digest_of(tmp_path, SOURCE) == digest_of(tmp_path, same)


@pytest.mark.parametrize("other", [SOURCE.replace("+ 1", "+ 2"), SOURCE + "g = f\n"])
def test_what_the_program_does_counts(tmp_path: Path, other: str) -> None:
    assert digest_of(tmp_path, SOURCE) != digest_of(tmp_path, other)


def test_a_folder_stands_for_its_modules(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.py").write_text("a = 1\n")
    one = code_digest(tmp_path, ["p"])
    (tmp_path / "p" / "b.py").write_text("b = 1\n")
    assert code_digest(tmp_path, ["p"]) != one


def test_a_missing_module_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.py"):
        code_digest(tmp_path, ["gone.py"])
