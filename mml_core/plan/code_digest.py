"""A digest of program text that changes with what the program does, and not with comments, messages or layout."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from mml_core.plan.imports import import_closure, source_file


def code_digest(root: Path, roots: Iterable[str], without: Mapping[str, str]) -> str:
    """Return 12 hexadecimal digits that stand for the text of the program `roots` in the checkout `root`.

    Args:
        root: the checkout.
        roots: modules, packages and scripts, as `import_closure` takes them; the program is what they import. A root
            of which there is no module counts as its name.
        without: modules and packages that define nothing (see `counted`).
    """
    roots = sorted(set(roots))
    content = hashlib.sha256()
    for name in roots:
        content.update(f"{name}\n".encode())
    for module in counted(root, roots, without):
        content.update(f"{module}\n{_text(source_file(root, module))}\n".encode())
    return content.hexdigest()[:12]


def counted(root: Path, roots: Iterable[str], without: Mapping[str, str]) -> list[str]:
    """Return the modules and scripts of the program `roots` whose text counts: all but those that `without` names.

    An entry of `without` names a module, or a package for all that is below it. It does not hold for what `roots` name:
    what is asked for by name counts.
    """
    roots = list(roots)
    return [
        module
        for module in import_closure(root, roots)
        if any(_within(module, name) for name in roots) or not any(_within(module, entry) for entry in without)
    ]


@cache
def normalised(source: str) -> str:
    """Return `source` without comments, docstrings, help texts and what errors say, in a uniform layout."""
    return ast.unparse(_Wordless().visit(ast.parse(source)))


def _within(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


@cache
def _text(file: Path) -> str:
    source = file.read_text(encoding="utf-8")
    templates = sorted((file.parent / "templates").glob("*.html")) if "PackageLoader" in source else []
    return "\n".join([normalised(source), *(template.read_text(encoding="utf-8") for template in templates)])


class _Wordless(ast.NodeTransformer):
    """Takes out docstrings, the texts of `raise` statements, and the help of command lines."""

    def visit(self, node: ast.AST) -> ast.AST:
        node = super().visit(node)
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and body:
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = body[1:] or [ast.Pass()]
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return _Textless().visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg == "help":
            node.value = ast.Constant("")
        return self.generic_visit(node)


class _Textless(ast.NodeTransformer):
    """Empties all texts."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")
