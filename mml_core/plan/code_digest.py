"""A digest of program text that changes with what the program does, and not with comments, messages or layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from mml_core.plan.imports import import_closure, source_file
from mml_core.plan.module_text import module_text


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
        content.update(f"{module}\n{_text(source_file(root, module), module)}\n".encode())
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


def _within(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


@cache
def _text(file: Path, module: str) -> str:
    text = module_text(file, module)
    templates = sorted((file.parent / "templates").glob("*.html")) if "PackageLoader" in text.source else []
    return "\n".join([text.normalised, *(template.read_text(encoding="utf-8") for template in templates)])
