"""Classes whose names differ in what people do not mean, or cannot see."""

from __future__ import annotations

import unicodedata
from collections import Counter

from mml_core.annotations.problems import Kind, Place
from mml_core.annotations.types import Listing


def check_alike(listing: Listing) -> None:
    """Add classes to the problems of `listing` that differ only in case, in blanks or in what is not seen."""
    counts = Counter(label for row in listing.rows for label in row.labels)
    first: dict[str, str] = {}
    for name in listing.classes:
        other = first.setdefault(_meant(name), name)
        if other is not name:
            # where they are printed alike, their characters are named
            shown = ascii if _seen(other) == _seen(name) else repr
            message = f"{shown(other)} ({counts[other]} videos) and {shown(name)} ({counts[name]})"
            listing.problems.add(Kind.ALIKE, Place(listing.source), message)


def _seen(name: str) -> str:
    """Return what a reader sees of `name`: single blanks, composed letters, no characters without width."""
    visible = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return " ".join(unicodedata.normalize("NFC", visible).split())


def _meant(name: str) -> str:
    return unicodedata.normalize("NFC", _seen(name).casefold())
