"""Fields that nobody reads: kept in files and passed on, they would say nothing."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
#: Fields that are read by people alone.
FOR_PEOPLE = {"Rate.date": "a column of the table of rates, which says when a row was measured"}


def trees(*patterns: str) -> Iterator[ast.Module]:
    for pattern in patterns:
        for path in sorted(PROJECT.glob(pattern)):
            yield ast.parse(path.read_text(encoding="utf-8"))


def read_names() -> set[str]:
    """Return all that is read as an attribute, of whatever, by the library, scripts, rules and pages."""
    names = {
        node.attr
        for tree in trees("mml_core/**/*.py", "workflow/scripts/*.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    texts = [path.read_text() for pattern in ("rules/*.smk", "mml_core/**/*.html") for path in PROJECT.glob(pattern)]
    return names | set(re.findall(r"\.([a-z_]\w*)", "".join(texts)))


def is_to_come(block: ast.ClassDef) -> bool:
    """Return whether a class is the configuration of a program that is not there yet."""
    for statement in block.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "module":
            return importlib.util.find_spec(ast.literal_eval(statement.value)) is None
    return False


def fields() -> Iterator[tuple[str, str]]:
    """Yield class and name of all annotated fields, but for those of tuples, which may be read by their place."""
    for tree in trees("mml_core/**/*.py"):
        for block in ast.walk(tree):
            if not isinstance(block, ast.ClassDef) or is_to_come(block):
                continue
            if any(ast.unparse(base) == "NamedTuple" for base in block.bases):
                continue
            for statement in block.body:
                if isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement.annotation):
                    yield block.name, ast.unparse(statement.target)


def test_every_field_is_read_by_somebody() -> None:
    read, known = read_names(), {f"{owner}.{name}": name for owner, name in fields()}
    assert len(known) > 300
    assert {key for key, name in known.items() if name not in read} == set(FOR_PEOPLE)
