"""Where a key of a recipe is written: in which of the files that it extends, and under which of the defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

#: A file and its own document.
Layer = tuple[Path, Mapping[str, Any]]


def place_of_key(keys: Sequence[str], layers: Sequence[Layer]) -> str:
    """Return where a user finds the key of a recipe, which may have come from defaults and from another file.

    Args:
        keys: those that lead to it in the recipe with its defaults filled in; the last may be one that is missing.
        layers: the files that make up the recipe, each laid over those before it; the last is the recipe's own.

    Returns the keys joined by dots as they are written, and the file's name unless it is the recipe's own.
    """
    for written in _spellings(list(keys)):
        for file, document in reversed(layers):
            if keys and _has(document, written):
                return ".".join(written) + ("" if file == layers[-1][0] else f" (in {file})")
    return ".".join(keys)


def _spellings(keys: list[str]) -> Iterator[list[str]]:
    """Yield `keys`, then those under which defaults have the same: what comes first is laid over what follows."""
    yield keys
    if keys[:1] == ["stages"] and keys[2:3] == ["networks"] and len(keys) > 4:
        yield ["defaults", "network", *keys[4:]]
    if keys[:1] == ["stages"] and len(keys) > 2:
        yield ["defaults", "stage", *keys[2:]]


def _has(value: Any, keys: Sequence[str]) -> bool:
    """Whether `keys` lead to something in a document."""
    for key in keys:
        if isinstance(value, list):
            value = dict(enumerate(value))
        named = {str(name): below for name, below in value.items()} if isinstance(value, Mapping) else {}
        if key not in named:
            return False
        value = named[key]
    return True
