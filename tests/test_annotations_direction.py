"""Labels under a horizontal flip, from the class's text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mml_core.annotations import swap_direction_labels
from mml_core.demo.catalogue import CLASSES


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["moving left", "moving right", "resting"], (1, 0, 2)),
        (["Pulling it from left to right", "Pulling it from right to left"], (1, 0)),
        (["Swiping Left", "swiping_right"], (1, 0)),
        (["SwipeLeft", "SwipeRight"], (1, 0)),
        (["going leftwards", "going rightwards", "left-handed", "right-handed"], (1, 0, 3, 2)),
        (["Turning Hand Clockwise", "Turning Hand Counterclockwise"], (1, 0)),
        (["turn clockwise", "turn counter-clockwise", "turn up"], (1, 0, 2)),
        (["turn cw", "turn ccw"], (1, 0)),
        (["turn clockwise", "turn anticlockwise"], (1, 0)),
        (["left, clockwise", "right, counter clockwise", "right, clockwise"], (1, 0, None)),
        (["upright", "a bright light", "cleft", "leftover", "rightful"], (0, 1, 2, 3, 4)),
        (["pulling it right out", "going right", "going left"], (0, 2, 1)),
        (["left", "up"], (None, 1)),
        (["left", "Left", "right"], (None, None, None)),
        ([], ()),
    ],
)
def test_direction_words_change_places(classes: list[str], expected: tuple[int | None, ...]) -> None:
    assert swap_direction_labels(classes) == expected


def test_flipping_twice_gives_the_class_back() -> None:
    for classes in (CLASSES, ["left", "right", "x", "turn ccw", "turn cw", "left cw"]):
        swapped = swap_direction_labels(classes)
        assert all(other is None or swapped[other] == label for label, other in enumerate(swapped))


def test_embedded_classes() -> None:
    assert swap_direction_labels(CLASSES) == (1, 0, 2, 3, 4, 5, 7, 6)


def test_something_something_v2(real_data: Path) -> None:
    """The same three pairs that mmaction2's table for this order of the labels has, found in their text."""
    labels = json.loads((real_data / "annotations/ssv2/labels.json").read_text())
    classes = sorted(labels, key=lambda name: int(labels[name]))
    swapped = swap_direction_labels(classes)
    moved = {label: other for label, other in enumerate(swapped) if label != other}
    assert moved == {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}
