"""Shared ground of all configuration models: strict fields, safe YAML, errors that name file, key and hint."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import os
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from mml_core.config.complaints import explain, is_own_fault
from mml_core.errors import InputError, summarise

#: The form of names that become parts of file names and Snakemake wildcards.
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"

Quality = Annotated[int, Field(ge=1, le=100, description="JPEG quality of the stored images, 1 to 100")]

#: No configuration is longer, or has more values: what is was not meant as one.
_MOST_BYTES = 4 << 20
_MOST_VALUES = 200_000
_MOST_PATH_BYTES, _MOST_NAME_BYTES = 4095, 255
#: What a shell would replace.
_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")


def added(neutral: Any, **about: Any) -> Any:
    """Return the field of a key that came after the first results, with its default `neutral`.

    A block that has the key at `neutral` is dumped without it, as if there were no such key. So neither its digest nor the
    parameters of its jobs change when a key is added. The default is therefore for ever: another one renames results.
    """
    return Field(default=neutral, json_schema_extra={"neutral": neutral}, **about)


class Strict(BaseModel):
    """A model without room for misspelt keys, frozen once validated; dumped, it says what defines a result."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _without_neutral_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = handler(self)
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and "neutral" in extra and getattr(self, name) == extra["neutral"]:
                del content[name]
        return self.identifying(content)

    def identifying(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return what of this block's `content` defines a result: all of it, unless a model knows of keys that do not."""
        return content


def possible_path(path: Path) -> Path:
    """Return `path`, from the home folder on where it begins with `~`.

    Raises ValueError for one that no file can have, before anything looks for it, and where a variable of the shell
    stands in a path that is not there: nothing replaces it.
    """
    with contextlib.suppress(RuntimeError):  # nobody of that name: a file may be called so
        path = path.expanduser()
    text = os.fspath(path)
    if "\0" in text or len(os.fsencode(text)) > _MOST_PATH_BYTES:
        raise ValueError("no file can have this path")
    if any(len(os.fsencode(part)) > _MOST_NAME_BYTES for part in path.parts):
        raise ValueError(f"no file can have a name of more than {_MOST_NAME_BYTES} bytes")
    if (variable := _VARIABLE.search(text)) and not path.exists():
        raise ValueError(f"{variable[0]} is not replaced here: write the path in full, or begin it with ~ (your home)")
    return path


FilePath = Annotated[Path, AfterValidator(possible_path)]

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


def _size(node: yaml.Node, sizes: dict[int, int], above: tuple[yaml.Node, ...]) -> int:
    """Return how many values `node` stands for when every alias is written out.

    A few lines of aliases of aliases stand for billions, and a value that holds itself for infinitely many: both raise
    ValueError.
    """
    if id(node) in sizes:
        return sizes[id(node)]
    if node in above:
        raise ValueError(f"a value holds itself{node.start_mark}")
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    size = 1 + sum(_size(part, sizes, (*above, node)) for part in below)
    if size > _MOST_VALUES:
        raise ValueError(f"more than {_MOST_VALUES} values, with aliases written out{node.start_mark}")
    sizes[id(node)] = size
    return size


@functools.lru_cache(maxsize=128)
def _parsed(text: str) -> Any:
    """Return what a YAML text holds; files that several recipes extend are read again and again, and parsing is slow."""
    loader = _UniqueKeySafeLoader(text)
    node = loader.get_single_node()
    if node is None:
        return None
    _size(node, {}, ())
    return loader.construct_document(node)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that the YAML file at `path` holds.

    Raises InputError where the file is missing, is no valid YAML, or holds something else than a mapping.
    """
    try:
        if path.exists() and not path.is_file():  # reading a device or a pipe may never end
            raise InputError("is no file", file=path)
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise InputError(f"is longer than {_MOST_BYTES} bytes, more than any configuration", file=path)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a name that no file can have
        raise InputError(f"cannot be read ({error})", file=path) from error
    try:
        document = copy.deepcopy(_parsed(text))
    # ValueError: numbers of thousands of digits, days that no calendar has
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
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


@functools.cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model, which takes half a second for a recipe; not to be changed."""
    return model.model_json_schema()


def validate(
    model: type[Model],
    document: Mapping[str, Any],
    file: Path,
    written: Callable[[Sequence[str]], str] = ".".join,
) -> Model:
    """Return `document` as a `model`; every complaint names the file, the key and, where there is one, a hint.

    written: from the keys that lead to a value of `document` to the text that says where the user wrote it.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        schema = _schema(model)
        found = filter(is_own_fault, error.errors())
        faults = list(dict.fromkeys(explain(item, schema, document, written) for item in found))
        raise InputError(
            f"{len(faults)} fault(s) in the configuration:\n" + summarise(faults),
            file=file,
            hint="docs/configuration.md lists every key with its type, range and default",
        ) from error


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no spaces: equal content gives equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 10) -> str:
    """Return the first `length` hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()[:length]
