"""What is wrong with a configuration, in words: from pydantic's errors to what a person can act on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

_NAME = r"[a-z][a-z0-9_]{0,63}"
_INNER = r"(\.[a-z0-9_]{1,64}){0,7}"
_SMALL = "small letters, digits and _, the first a letter"
#: What the patterns of the configuration's models ask for.
IN_WORDS = {
    rf"^{_NAME}$": f"a name of at most 64 {_SMALL}",
    r"^[A-Za-z][A-Za-z0-9_]{0,63}$": "a name of at most 64 letters, digits and _, the first a letter",
    rf"^{_NAME}\.{_NAME}$": f"STAGE.NETWORK, two names of at most 64 {_SMALL}",
    rf"^{_NAME}\.{_NAME}{_INNER}$": "STAGE.NETWORK, or STAGE.NETWORK.PART, of small letters, digits and _",
    rf"^{_NAME}\.{_NAME}{_INNER}( \+ {_NAME}\.{_NAME}{_INNER})*$": "STAGE.NETWORK, or several joined by ' + '",
    r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+){0,7}$": f"the name of a part, its steps joined by dots: {_SMALL}",
    r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+){0,8}$": f"NETWORK, or NETWORK.PART with its steps joined by dots: {_SMALL}",
    r"^\.[a-z0-9]{1,8}$": "the ending of a file's name, a dot and at most 8 small letters and digits, as .mp4",
    r"^\.[A-Za-z0-9]{1,8}$": "the ending of a file's name, a dot and at most 8 letters and digits, as .mp4",
    "^(mixed|bf16|full)$": "mixed, bf16 or full",
}


def is_own_fault(item: Mapping[str, Any]) -> bool:
    """Whether a fault is no mere consequence of others: a list of which too little is left without its faulty items."""
    return not (item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"])


def explain(
    item: Mapping[str, Any],
    schema: Mapping[str, Any],
    document: Mapping[str, Any],
    written: Callable[[Sequence[str]], str],
) -> str:
    """Return a fault that pydantic found, `item`, in words: where it is, what it is, what was meant.

    Args:
        item: an element of `ValidationError.errors()`.
        schema: JSON schema of the model.
        document: what was validated.
        written: see `mml_core.config.base.validate`.
    """
    keys, message = _keys(item, document, frozenset(_found(schema, "propertyName"))), str(item["msg"])
    if item["type"].startswith("union_tag"):  # the value that decides which keys a block has is not there, or unknown
        keys.append(item["ctx"]["discriminator"].strip("'_()"))  # a key, or a function that is called after it
        if not (tag := item["ctx"].get("tag")):
            return f"{written(keys)}: Field required"
        tags = re.findall("'([^']*)'", item["ctx"]["expected_tags"])
        return f"{written(keys)}: {_unknown(tag, _choices(keys[-1], tags, schema))}"
    key = written(keys) or "(top)"
    if item["type"] == "extra_forbidden":
        # a key of another block, by the very name, is no advice
        known = {name for block in _found(schema, "properties") for name in block} - {str(item["loc"][-1])}
        near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        return f"{key}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    if item["type"] == "string_pattern_mismatch":
        message = f"expected {IN_WORDS.get(item['ctx']['pattern'], message)}"
    value = repr(item.get("input"))
    return f"{key}: {message}" + (f" (got {value})" if item["type"] != "missing" and len(value) < 60 else "")


def _choices(key: str, tags: Sequence[str], schema: Mapping[str, Any]) -> Sequence[str]:
    """Return the values of `key` that may be written where pydantic expects one of `tags`.

    A tag may stand for several: networks that share a family have one block.
    """
    blocks = schema.get("$defs", {})
    unions = [
        [value for one in union for value in _values(blocks.get(one.get("$ref", "").rpartition("/")[2], {}), key)]
        for union in _found(schema, "oneOf")
        if len(union) == len(tags)
    ]
    found = max(unions, key=lambda values: len(set(values) & set(tags)), default=[])
    return found if set(found) & set(tags) else tags


def _values(block: Mapping[str, Any], key: str) -> Sequence[str]:
    """Return what the JSON schema of a block allows for `key`."""
    allowed = block.get("properties", {}).get(key, {})
    return [allowed["const"]] if "const" in allowed else allowed.get("enum", [])


def _unknown(value: str, names: Sequence[str]) -> str:
    """Return that `value` is none of `names`, which are told the nearest first."""
    near = difflib.get_close_matches(value.lower(), names, n=len(names))
    listed = ", ".join(f"{name!r}" for name in dict.fromkeys([*near, *names]))
    return f"{value!r:.60} is none of {listed}" + (f"; did you mean {near[0]!r}?" if near else "")


def _keys(item: Mapping[str, Any], document: Any, deciding: Set[str]) -> list[str]:
    """Return the keys that lead to a fault, without the names that pydantic gives to the members of unions.

    deciding: keys whose value decides which member of a union a block is. Pydantic names that member behind the block's
    key, and the name may be that of a key in the block, as with `format: manifest`.
    """
    keys: list[str] = []
    value, entered = document, False
    for part in item["loc"]:
        if entered and isinstance(value, Mapping) and any(value.get(key) == part for key in deciding):
            entered = False
            continue
        listed = isinstance(value, list) and isinstance(part, int) and part < len(value)  # a pair of one has no second
        inside = part in value if isinstance(value, Mapping) else listed
        entered = inside
        if inside:
            value = value[part]
        if inside or (item["type"] == "missing" and part == item["loc"][-1]):
            keys.append(str(part))
    return keys


def _found(schema: Any, name: str) -> Iterator[Any]:
    """Yield the values that the key `name` has anywhere in a JSON schema."""
    if isinstance(schema, Mapping):
        if name in schema:
            yield schema[name]
        for value in schema.values():
            yield from _found(value, name)
    elif isinstance(schema, list):
        for value in schema:
            yield from _found(value, name)
