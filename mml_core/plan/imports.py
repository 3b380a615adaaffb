"""Which modules of this project a program imports, read from its text alone: nothing is run.

Imports within functions count, since they run when the function does; those for type checkers do not. Packages count
only where something is imported from them: `from mml_core.clips.crops import resize` is about the module `crops` and
not about what `mml_core/clips/__init__.py` gathers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = "mml_core"
_INIT = "__init__"
#: Where statements hold others; handlers and cases are no statements themselves, and have a body.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@cache
def modules_of(root: Path) -> dict[str, Path]:
    """Return the project's modules below the checkout `root`: dotted name to file, a package's as `a.b.__init__`."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    return {".".join(file.relative_to(root).with_suffix("").parts): file for file in files}


def import_closure(root: Path, roots: Iterable[str]) -> list[str]:
    """Return the sorted names of all modules that the program `roots` consists of, themselves included.

    Args:
        root: the checkout.
        roots: dotted names of modules; of packages, for all modules below them; and paths of scripts, which end in .py.
            A name of which there is no module (yet) is passed over.
    """
    found: set[str] = set()
    waiting = [module for name in roots for module in _named(root, name)]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += imports_of(root, module)
    return sorted(found)


def source_file(root: Path, module: str) -> Path:
    """Return the file of a module or script that `import_closure` names."""
    return root / module if module.endswith(".py") else modules_of(root)[module]


@cache
def imports_of(root: Path, module: str) -> tuple[str, ...]:
    """Return the project's modules that one module or script imports itself; raises ValueError for relative imports."""
    known = modules_of(root)
    names = _names(source_file(root, module).read_text(encoding="utf-8"), module)
    found = (name if name in known else f"{name}.{_INIT}" for name in names)
    return tuple(dict.fromkeys(name for name in found if name in known))


def _named(root: Path, name: str) -> list[str]:
    if name.endswith(".py"):
        return [name]
    known = modules_of(root)
    return [name] if name in known else [module for module in known if module.startswith(f"{name}.")]


@cache
def _names(source: str, module: str) -> tuple[str, ...]:
    """Return the names that the text `source` of a module imports, which may also be of what is in modules."""
    return tuple(name for node in _statements(ast.parse(source).body) for name in _imported(node, module))


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
