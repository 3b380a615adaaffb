"""A digest of program text that changes with what the program does, and not with comments, docstrings or layout."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path


def code_digest(root: Path, paths: Iterable[str]) -> str:
    """Return 12 hexadecimal digits that stand for the files `paths` under `root`.

    A folder stands for the Python modules and HTML templates below it; templates count to the letter.
    """
    content = hashlib.sha256()
    for relative in sorted(paths):
        target = root / relative
        if not target.exists():
            raise FileNotFoundError(f"{target}: named as code of a rule, but missing")
        files = [file for file in target.rglob("*") if file.suffix in (".py", ".html")] if target.is_dir() else [target]
        for file in sorted(files):
            text = file.read_text(encoding="utf-8")
            content.update(file.relative_to(root).as_posix().encode())
            content.update((normalised(text) if file.suffix == ".py" else text).encode())
    return content.hexdigest()[:12]


def normalised(source: str) -> str:
    """Return `source` without comments and docstrings, in a uniform layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and body:
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = body[1:] or [ast.Pass()]
    return ast.unparse(tree)
