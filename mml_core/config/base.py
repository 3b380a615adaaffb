"""Shared ground of all configuration models: strict fields, safe YAML, errors that name file, key and hint."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mml_core.errors import InputError, summarise

#: The form of names that become parts of file names and Snakemake wildcards.
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"


class Strict(BaseModel):
    """A model without room for misspelt keys, frozen once validated."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


class _UniqueKeySafeLoader(yaml.SafeLoader):
    """YAML's safe loader, refusing a key that occurs twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "key is not a scalar", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that the YAML file at `path` holds.

    Raises InputError where the file is missing, is no valid YAML, or holds something else than a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", file=path) from error
    try:
        document = _UniqueKeySafeLoader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"is not valid YAML: {error}", file=path) from error
    if not isinstance(document, dict):
        raise InputError(f"expected a mapping of keys, got {type(document).__name__}", file=path)
    return document


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over` laid over it; nested mappings are merged, anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def validate(model: type[Model], document: Mapping[str, Any], file: Path) -> Model:
    """Return `document` as a `model`; every complaint names the file, the key and, where there is one, a hint."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InputError(
            f"{error.error_count()} fault(s) in the configuration:\n"
            + summarise([_explain(item, model) for item in error.errors()]),
            file=file,
            hint="docs/configuration.md lists every key with its type, range and default",
        ) from error


def _explain(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "(top)"
    message = str(item["msg"])
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(item["loc"][-1]), _known_keys(model), n=1)
        return f"{key}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    value = repr(item.get("input"))
    return f"{key}: {message}" + (f" (got {value})" if item["type"] != "missing" and len(value) < 60 else "")


def _known_keys(model: type[BaseModel]) -> set[str]:
    schema = model.model_json_schema()
    blocks = [schema, *schema.get("$defs", {}).values()]
    return {key for block in blocks for key in block.get("properties", {})}


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no spaces: equal content gives equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 10) -> str:
    """Return the first `length` hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()[:length]
