"""Files that are there under another spelling of their path than the one that somebody wrote."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path


def _without_blanks(path: str) -> str:
    return "/".join(part.strip() for part in path.split("/"))


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


#: What paths may differ in and yet look alike, or come from another system, and what takes the difference away.
_DIFFERENCES: dict[str, Callable[[str], str]] = {
    "backslashes": _slashes,
    "blanks at its ends": _without_blanks,
    "Unicode normalisation": _composed,
    "case": str.casefold,
}


def _plain(path: str, but_for: str = "") -> str:
    for name, step in _DIFFERENCES.items():
        path = path if name == but_for else step(path)
    return path


def told(written: str, found: str | None) -> str:
    """Return what to add to an error about a path where it was `found` under another spelling: what they differ in."""
    differences = " and ".join(
        name
        for name in _DIFFERENCES
        if found and _plain(written, but_for=name) != _plain(found, but_for=name)  # it alone keeps them apart
    )
    return f"; there is {found!r}, which differs in {differences}" if found else ""


class Spellings:
    """Looks for files in a folder however their paths are spelt; reads each folder once, when it is first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, dict[str, str]] = {}

    def find(self, path: str) -> str | None:
        """Return the path below the root of the one file or folder that `path`, which is not there, may stand for."""
        found = ""
        for part in _plain(path).split("/"):
            name = self._listed(found).get(part)
            if not name:
                return None
            found = f"{found}/{name}" if found else name
        return found

    def _listed(self, folder: str) -> dict[str, str]:
        """Return the names in `folder` by their plain form; nothing for a form that several of them have."""
        if folder not in self._names:
            listed = self._names[folder] = {}
            try:
                names = [entry.name for entry in (self._root / folder).iterdir()]
            except OSError:
                names = []
            for name in names:
                plain = _plain(name)
                listed[plain] = "" if plain in listed else name
        return self._names[folder]


def other_spelling(path: Path) -> str:
    """Return what to add to an error about `path`, which is not there, where it is under another spelling."""
    text = _slashes(os.fspath(path))
    root = Path("/") if text.startswith("/") else Path()
    found = Spellings(root).find(text.removeprefix("/")) if ".." not in path.parts else None
    return told(str(path), str(root / found)) if found else ""
