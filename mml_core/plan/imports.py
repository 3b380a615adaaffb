"""Which modules of this project a program imports, read from its text alone: nothing is run.

Imports within functions count, since they run when the function does; those for type checkers do not. Packages count
only where something is imported from them: `from mml_core.clips.crops import resize` is about the module `crops` and
not about what `mml_core/clips/__init__.py` gathers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from mml_core.plan.module_text import module_text

PACKAGE = "mml_core"
_INIT = "__init__"


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
    names = module_text(source_file(root, module), module).names
    found = (name if name in known else f"{name}.{_INIT}" for name in names)
    return tuple(dict.fromkeys(name for name in found if name in known))


def _named(root: Path, name: str) -> list[str]:
    if name.endswith(".py"):
        return [name]
    known = modules_of(root)
    return [name] if name in known else [module for module in known if module.startswith(f"{name}.")]
