"""Reading bundles, which may come from anywhere: nothing is run, nothing outside of the folder is opened."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mml_core.bundles.format import DOCUMENT, FORMAT, VERSION, BundleDocument
from mml_core.errors import InputError

#: No document is longer: one of 10,000 classes has 2 MB.
_MOST_BYTES = 32 << 20
_DAMAGED = "get it anew, or make it anew with `mml bundle`"


def read_document(folder: Path) -> BundleDocument:
    """Return what the bundle in `folder` says of itself.

    Raises InputError, naming the file, where there is no bundle, it is of a later version than this program knows, or
    it says something that no bundle says.
    """
    path = folder / DOCUMENT
    content = _content(folder)
    if content.get("format") != FORMAT:
        raise InputError("is no bundle", file=path, hint="`mml bundle ROW` makes one")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise InputError(
            f"is of version {version}, and this program reads versions up to {VERSION}",
            file=path,
            hint="install a later version of mml-core",
        )
    try:
        return BundleDocument.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {first['msg']}".removeprefix(": "), file=path, hint=_DAMAGED) from error


def weights_file(folder: Path, document: BundleDocument, name: str) -> Path:
    """Return the file of weights `name` of a bundle, once it is looked at.

    Raises InputError where it is missing, leads out of the folder, or is not the one that `document` has the digest of.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise InputError("is no file within the bundle", file=path, hint=_DAMAGED)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != document.files[name]:
        raise InputError(
            "is not the file whose SHA-256 bundle.json has: damaged, or exchanged", file=path, hint=_DAMAGED
        )
    return path


def _content(folder: Path) -> dict[str, Any]:
    path = folder / DOCUMENT
    try:
        if not path.is_file():
            raise InputError("there is no bundle", file=folder, hint=f"a bundle is a folder with {DOCUMENT} in it")
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise InputError("is longer than any bundle's", file=path)
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be read as a bundle's ({error})", file=path, hint=_DAMAGED) from error
    if not isinstance(content, dict):
        raise InputError("is no bundle", file=path, hint=_DAMAGED)
    return content
