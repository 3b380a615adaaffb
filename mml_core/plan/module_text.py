"""What a digest of the program needs of one module's text: what it imports, and the text less its words.

Reading the program so takes longer than all else that planning a small run does, and each job of a cluster does it
again. So what was read is kept in the user's cache folder, by a digest of the text: a checkout's place and the files'
times mean nothing.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mml_core.runtime.user_cache import private_folder

#: Where statements hold others; handlers and cases are no statements themselves, and have a body.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@dataclass(frozen=True)
class ModuleText:
    """One module or script.

    names: what it imports, which may also be of what is in modules. source: its text as it is. normalised: the text
    without comments, docstrings, help texts and what errors say, in a uniform layout.
    """

    names: tuple[str, ...]
    source: str
    normalised: str


@cache
def module_text(file: Path, module: str) -> ModuleText:
    """Return what the text of `module` says, which is in `file`; raises ValueError for relative imports."""
    source = file.read_text(encoding="utf-8")
    names, text = _read(source, module)
    return ModuleText(names, source, text)


def normalised(source: str) -> str:
    """Return `source` without comments, docstrings, help texts and what errors say, in a uniform layout."""
    return ast.unparse(_Wordless().visit(ast.parse(source)))


@cache
def _read(source: str, module: str) -> tuple[tuple[str, ...], str]:
    """Return names and normalised text of a module, which may have been read before."""
    folder = private_folder("program")
    place = folder and folder / f"{hashlib.sha256(_reader() + source.encode()).hexdigest()}.json"
    if place and (kept := _kept(place)):
        return kept
    names = (name for node in _statements(ast.parse(source).body) for name in _imported(node, module))
    read = tuple(dict.fromkeys(names)), normalised(source)
    if place:
        _keep(place, *read)
    return read


@cache
def _reader() -> bytes:
    """Return what else it depends on: this file and Python, each version of which lays out text in its own way."""
    return sys.version.encode() + Path(__file__).read_bytes()


def _kept(place: Path) -> tuple[tuple[str, ...], str] | None:
    """Return names and normalised text as they were kept, or None where they were not, or the file is damaged."""
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
        return tuple(document["names"]), document["text"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(place: Path, names: tuple[str, ...], text: str) -> None:
    """Write what was read, whole or not at all; where nothing can be written, it is read again each time."""
    temporary = place.with_name(f"{place.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps({"names": names, "text": text}), encoding="utf-8")
        temporary.replace(place)


def _imported(node: ast.AST, module: str) -> Iterator[str]:
    """Yield the names, which may be of modules, of packages or of what is in them, that one statement imports."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(parent), names=names, level=0):
            yield parent
            yield from (f"{parent}.{alias.name}" for alias in names)
        case ast.ImportFrom():
            raise ValueError(f"{module}: a relative import, which this project does not have")


def _statements(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the statements `nodes` and all that are within them, but those that only type checkers see.

    Imports are statements, so that expressions, which are most of a program's nodes, need not be looked into.
    """
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _statements(node.orelse)
            continue
        yield node
        for blocks in _BLOCKS:
            yield from _statements(getattr(node, blocks, ()))


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
