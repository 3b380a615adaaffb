"""The files that `mml start` writes: YAML with a word before it, never over something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mml_core.errors import InputError
from mml_core.io.files import write_text


def as_yaml(document: Mapping[str, Any], words: Sequence[str]) -> str:
    """Return `document` as YAML behind comments of these words; letters of all languages stay as they are."""
    comments = "".join(f"# {line}\n" for line in words)
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) != document:  # PyYAML writes a few characters, as U+0085, such that it reads other ones
        text = yaml.safe_dump(dict(document), sort_keys=False)
    return comments + text


def check_free(files: Mapping[Path, str], *, force: bool) -> None:
    """Raise InputError where one of `files` is there with another content than what is to be written."""
    for path, text in files.items():
        if not force and path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
            raise InputError(
                "is there already, with another content",
                file=path,
                hint="choose another name with --name, or write over it with --force",
            )


def write_files(files: Mapping[Path, str]) -> None:
    """Write `files`."""
    for path, text in files.items():
        write_text(path, text)
