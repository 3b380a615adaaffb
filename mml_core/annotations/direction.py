"""What a horizontal flip makes of a class, read from the class's text."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD_START = r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"  # also at the humps of CamelCase
_WORD_END = r"(?![a-z])"
#: A side as a word of its own ("left", "leftwards", "swipe_left", "SwipeLeft"; not "cleft", "bright", "upright"),
#: unless "right" stands for "at once" or "straight" ("pulling it right out").
_SIDE = re.compile(
    rf"{_WORD_START}(?i:(?P<left>left)|right(?![\s_-]+(?:out|away|after|before|now|angled?)\b))"
    rf"(?=(?i:wards?|most|hand(?:ed)?)?{_WORD_END})"
)
_TURN = re.compile(rf"{_WORD_START}(?i:(?P<counter>(?:counter|anti)[\s_-]?|c(?=cw))?(?:clockwise|cw)){_WORD_END}")
_SPACES = re.compile(r"[\s_-]+")
#: Marks that stand for left, right, clockwise and counter-clockwise, and what a flip makes of them.
_FLIPPED = str.maketrans("\x01\x02\x03\x04", "\x02\x01\x04\x03")


def swap_direction_labels(classes: Sequence[str]) -> tuple[int | None, ...]:
    """Return for every class the index of the class that its videos show when flipped horizontally.

    Left and right, clockwise and counter-clockwise (ccw, anticlockwise) change places; spelling, case and `_` for a
    space do not matter. A class without such a word keeps its own index. None: the flipped class is not among
    `classes` (or more than one class has its text), so its videos must not be flipped.
    """
    marked = [_mark(name) for name in classes]
    positions: dict[str, list[int]] = {}
    for position, text in enumerate(marked):
        positions.setdefault(text, []).append(position)
    return tuple(_partner(position, text, positions) for position, text in enumerate(marked))


def _partner(position: int, text: str, positions: dict[str, list[int]]) -> int | None:
    flipped = text.translate(_FLIPPED)
    if flipped == text:
        return position
    partners = positions.get(flipped, [])
    return partners[0] if len(partners) == len(positions[text]) == 1 else None


def _mark(name: str) -> str:
    """Return `name` in lower case, with single spaces, and with marks in place of directions."""
    text = _SIDE.sub(lambda found: "\x01" if found["left"] else "\x02", name)
    text = _TURN.sub(lambda found: "\x04" if found["counter"] else "\x03", text)
    return _SPACES.sub(" ", text).strip().casefold()
