"""Annotations of Something-Something-v2 as distributed: labels, train, validation and test JSON files.

An entry of train.json and validation.json is `{"id": "74225", "template": "Spinning [something] …", …}`: the template
without its brackets is the class. test.json has ids alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mml_core.annotations.paths import UnsafePathError, plain_path
from mml_core.annotations.problems import Kind, Place, Problems
from mml_core.annotations.types import Listing, Row
from mml_core.config.annotations import SomethingSomethingAnnotations
from mml_core.errors import InputError, summarise

#: What stands before, between and after the entries of a list.
_DELIMITER = re.compile(r"\s*([\[,\]])\s*")


def read_something_something(config: SomethingSomethingAnnotations) -> Listing:
    """Return the listing of Something-Something-v2; ids as distributed, classes in the order of labels.json.

    Raises InputError where a file is no JSON of the expected form; faults of entries go into the listing's problems.
    """
    problems = Problems()
    rows: list[Row] = []
    files = {"train": config.train, "validation": config.validation, "test": config.test}
    for split, file in files.items():
        for place, entry in read_entries(file) if file else ():
            rows += _row(config, split, entry, place, problems)
    return Listing(config.train, config.videos, read_classes(config.labels), rows, problems)


def _row(
    config: SomethingSomethingAnnotations, split: str, entry: Any, place: Place, problems: Problems
) -> Iterator[Row]:
    needed = ("id",) if split == "test" else ("id", "template")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) and entry[key] for key in needed):
        keys = " and ".join(map(repr, needed))
        problems.add(Kind.MALFORMED, place, f"expected an object with the text {keys}, got {_short(entry)}")
        return
    labels = () if split == "test" else (entry["template"].replace("[", "").replace("]", ""),)
    try:
        yield Row(entry["id"], plain_path(entry["id"] + config.extension), split, labels, place)
    except UnsafePathError as error:
        problems.add(Kind.OUTSIDE, place, f"id {entry['id']!r}: {error}")


def read_classes(file: Path) -> tuple[str, ...]:
    """Return the classes of labels.json (template to index, as a string) in the order of their indices."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        faults.extend(f"{name!r} occurs twice" for name in sorted({name for name in names if names.count(name) > 1}))
        return dict(pairs)

    faults: list[str] = []
    try:
        labels = json.loads(_read(file), object_pairs_hook=unique)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"is no valid JSON ({error})", file=file) from error
    if not isinstance(labels, dict) or not labels:
        raise InputError(f"expected an object of class to index, got {_short(labels)}", file=file)
    by_index: dict[str, str] = {}
    for name, index in labels.items():
        if str(index) not in map(str, range(len(labels))):
            faults.append(f"{name!r}: expected an index from 0 to {len(labels) - 1}, got {index!r}")
        elif by_index.setdefault(str(index), name) != name:
            faults.append(f"{name!r}: index {index} is also that of {by_index[str(index)]!r}")
    if faults:
        hint = "labels.json holds every class once, with the indices 0, 1, 2, …"
        raise InputError(f"{len(faults)} fault(s):\n{summarise(faults)}", file=file, hint=hint)
    return tuple(by_index[str(index)] for index in range(len(labels)))


def read_entries(file: Path) -> Iterator[tuple[Place, Any]]:
    """Yield the place and content of every entry of the JSON list in `file`.

    Entries are decoded one at a time: it takes little longer than all at once, and their lines become known.
    """
    text = _read(file)
    decode = json.JSONDecoder().raw_decode
    delimiter = _DELIMITER.match(text)
    if delimiter is None or delimiter[1] != "[":
        raise InputError("expected a JSON list", file=file, hint="is it the file as distributed?")
    place = Place(file, line=1 + text.count("\n", 0, delimiter.end()), entry=1)
    last = text.startswith("]", delimiter.end())
    position = delimiter.end() + last
    while not last:
        try:
            value, end = decode(text, position)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"is no valid JSON ({error})", file=str(place), hint="is the file complete?") from error
        yield place, value
        delimiter = _DELIMITER.match(text, end)
        if delimiter is None or delimiter[1] == "[":
            raise InputError("expected ',' or ']' after this entry", file=str(place), hint="is the file complete?")
        last = delimiter[1] == "]"
        place = Place(file, place.line + text.count("\n", position, delimiter.end()), place.entry + 1)
        position = delimiter.end()
    if position != len(text):
        raise InputError("text follows the end of the list", file=file, hint="is it the file as distributed?")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", file=file, hint="see config/datasets/ssv2.yaml") from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
