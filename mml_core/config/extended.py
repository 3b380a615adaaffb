"""Where a key of a recipe is written: in which of the files that it extends, and under which of the defaults."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mml_core.errors import InputError

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


def check_overlaid(document: Mapping[str, Any], layers: Sequence[Layer]) -> None:
    """Raise InputError for a stage or network that a file changes, and that none of those below it makes.

    That is what a misspelt name makes of an overlay. `document` is what all `layers` make together.
    """
    if len(layers) < 2:
        return
    of_all = dict(_blocks(document, "defaults")).get("network", {})
    for name, stage in _blocks(document, "stages"):
        if "networks" not in stage:
            raise _misspelt(["stages", name], "networks", document, layers)
        for network, block in _blocks(stage, "networks"):
            if "init" not in block and "init" not in of_all:
                raise _misspelt(["stages", name, "networks", network], "init", document, layers)


def _blocks(document: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield those of the blocks below a key that are mappings, by name: what others are is told in validation."""
    blocks = document.get(key)
    for name, block in blocks.items() if isinstance(blocks, Mapping) else ():
        if isinstance(block, Mapping):
            yield str(name), block


def _misspelt(keys: list[str], lacking: str, document: Mapping[str, Any], layers: Sequence[Layer]) -> InputError:
    """Return what to say of a block that has no key `lacking`, in any of the files."""
    *above, name = keys
    beside: Any = document
    for key in above:
        beside = beside[key]
    others = sorted({*map(str, beside)} - {name})
    near = difflib.get_close_matches(name, others, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return InputError(
        f"{'.'.join(keys)}: nothing of that name is in what this file extends, and a new one needs the key {lacking!r}",
        file=next(file for file, own in reversed(layers) if _has(own, keys)),
        hint=f"{meant}there are {', '.join(others) or 'no others'}",
    )
