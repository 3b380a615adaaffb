"""Colours of flow: the published wheel, by hand, and a scale that does not depend on the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mml_core.flow.picture import beside, flow_colours, usual_largest_px


def colour(x: float, y: float, max_px: float = 1.0) -> tuple[int, ...]:
    field = torch.tensor([x, y]).reshape(1, 2, 1, 1)
    return tuple(flow_colours(field, max_px)[0, :, 0, 0].tolist())


# Middlebury's wheel: RY 15, YG 6, GC 4, CB 11, BM 13, MR 6 hues; hue k is at atan2(-y, -x) = pi (2 k / 54 - 1).
@pytest.mark.parametrize(
    ("hue", "expected"),
    [
        (0, (255, 0, 0)),  # red
        (5, (255, 85, 0)),  # a third of the way to yellow: floor(255 * 5 / 15)
        (15, (255, 255, 0)),  # yellow
        (18, (128, 255, 0)),  # 255 - floor(255 * 3 / 6)
        (21, (0, 255, 0)),  # green
        (23, (0, 255, 127)),  # floor(255 * 2 / 4)
        (25, (0, 255, 255)),  # cyan
        (36, (0, 0, 255)),  # blue
        (49, (255, 0, 255)),  # magenta
        (54, (255, 0, 43)),  # the last before red: 255 - floor(255 * 5 / 6)
    ],
)
def test_the_published_wheel(hue: int, expected: tuple[int, ...]) -> None:
    angle = math.pi * (2 * hue / 54 - 1)
    assert colour(-math.cos(angle), -math.sin(angle)) == pytest.approx(expected, abs=2)


def test_directions_by_hand() -> None:
    """Right is hue 0; down is hue 13.5; left is hue 27, two elevenths from cyan to blue."""
    assert colour(1, 0) == pytest.approx((255, 0, 0), abs=2)
    assert colour(0, 1) == pytest.approx((255, 229, 0), abs=2)  # between floor(221) and floor(238)
    assert colour(-1, 0) == pytest.approx((0, 255 - 46, 255), abs=2)


def test_length_is_saturation_on_a_fixed_scale() -> None:
    assert colour(0, 0) == (255, 255, 255)
    assert colour(-0.0, 0) == (255, 255, 255)
    assert colour(2, 0, max_px=8) == pytest.approx((255, 191, 191), abs=2)  # 255 * (1 - 1 / 4)
    together = flow_colours(torch.tensor([[2.0, 100.0, -100.0], [0.0, 0.0, 50.0]]).reshape(1, 2, 1, 3), 8)
    assert tuple(together[0, :, 0, 0].tolist()) == colour(2, 0, max_px=8), "depends on the rest of the picture"
    assert tuple(together[0, :, 0, 1].tolist()) == colour(8, 0, max_px=8), "longer than the scale"


@given(st.floats(-math.pi, math.pi), st.floats(0, 1000, width=32), st.floats(0.1, 50))
def test_no_length_wraps_around(angle: float, length: float, max_px: float) -> None:
    """Rounding must not turn a channel's 0 into 255."""
    at = colour(length * math.cos(angle), length * math.sin(angle), max_px)
    slightly_less = colour(0.98 * length * math.cos(angle), 0.98 * length * math.sin(angle), max_px)
    assert at == pytest.approx(slightly_less, abs=8)


def test_the_usual_largest_length() -> None:
    flow = torch.zeros(1, 2, 10, 100)
    assert usual_largest_px(flow) == 1, "nothing moves"
    flow[0, 0, :, :5], flow[0, 1, :, :5] = 3, 4
    flow[0, 0, 0, 0] = 1000
    assert usual_largest_px(flow) == pytest.approx(5)


@pytest.mark.parametrize(("height", "stored"), [(4, 4), (5, 6)])
def test_frames_stand_on_the_left(height: int, stored: int) -> None:
    frame, colours = np.full((height, 7, 3), 10, np.uint8), np.full((height, 7, 3), 200, np.uint8)
    picture = beside(frame, colours)
    assert picture.shape == (stored, 14, 3)
    assert (picture[:, :7] == 10).all() and (picture[:, 7:] == 200).all()
