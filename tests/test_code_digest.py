"""The digest of program text: what counts as a change."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from mml_core.plan.code_digest import code_digest
from mml_core.plan.module_text import normalised

SOURCE = '''"""Docstring."""

def f(x):
    """Doc."""
    # comment
    if x < 0:
        raise ValueError(f"negative: {x}") from None
    parser.add_argument("--x", help="what x is")
    return x + 1, "text"
'''


@pytest.mark.parametrize(
    "same",
    [
        SOURCE.replace("comment", "another comment"),
        SOURCE.replace("Doc.", "Other words."),
        SOURCE.replace("x + 1", "(x\n        + 1)"),
        SOURCE.replace('"""Docstring."""\n', ""),
        SOURCE.replace('f"negative: {x}"', '"less than 0"'),
        SOURCE.replace("what x is", "the argument"),
    ],
)
def test_words_and_layout_do_not_count(same: str) -> None:
    assert same != SOURCE
    assert normalised(same) == normalised(SOURCE)


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("+ 1", "+ 2"),
        SOURCE + "g = f\n",
        SOURCE.replace("ValueError", "TypeError"),
        SOURCE.replace('"text"', '"words"'),
        SOURCE.replace("< 0", "< 1"),
        SOURCE.replace("--x", "--y"),
    ],
)
def test_what_the_program_does_counts(other: str) -> None:
    assert normalised(other) != normalised(SOURCE)


def test_pages_count_with_their_templates(tmp_path: Path) -> None:
    number = count()

    def digest(template: str, program: str = "from jinja2 import PackageLoader\n") -> str:
        root = tmp_path / str(next(number))
        (root / "mml_core/pages/templates").mkdir(parents=True)
        (root / "mml_core/pages/page.py").write_text(program)
        (root / "mml_core/pages/templates/page.html").write_text(template)
        return code_digest(root, ["mml_core.pages.page"], {})

    assert digest("<p>") == digest("<p>") != digest("<b>")
    assert digest("<p>", "x = 1\n") == digest("<b>", "x = 1\n")


def test_scripts_count_with_what_they_import(tmp_path: Path) -> None:
    number = count()

    def digest(imported: str, script: str = "from mml_core import one\n") -> str:
        root = tmp_path / str(next(number))
        (root / "mml_core").mkdir(parents=True)
        (root / "mml_core/one.py").write_text(imported)
        (root / "script.py").write_text(script)
        return code_digest(root, ["script.py"], {})

    assert digest("x = 1\n") == digest("x = 1  # one\n") != digest("x = 2\n")
    assert digest("x = 1\n") != digest("x = 1\n", "import mml_core.one\n")
