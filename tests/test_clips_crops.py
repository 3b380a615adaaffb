from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from mml_core.clips.crops import (
    OFFSETS,
    Box,
    crop_sizes,
    draw_corner_crop,
    draw_crop,
    draw_random_crop,
    evaluation_crops,
    evaluation_side,
    resize,
)

SCALES = (1.0, 0.875, 0.75, 0.66)
SIDE = st.integers(16, 400)


def test_thirteen_places() -> None:
    assert len(set(OFFSETS)) == 13


def test_sizes_of_the_paper() -> None:
    assert crop_sizes(256, 224, SCALES) == [256, 224, 192, 168]


@pytest.mark.parametrize(
    ("short", "crop", "expected"),
    [
        (258, 224, [258, 224, 193, 170]),  # int(225.75) is 1 px off: snapped
        (260, 224, [260, 227, 195, 171]),  # 3 px off: kept
        (222, 224, [222, 194, 166, 146]),  # snapping must not leave the picture
    ],
)
def test_sizes_snap_to_the_input_size(short: int, crop: int, expected: list[int]) -> None:
    assert crop_sizes(short, crop, SCALES) == expected


@given(SIDE, SIDE, st.integers(16, 300), st.integers(0, 2**32))
def test_crops_lie_in_the_picture_and_pair_neighbouring_scales(height: int, width: int, crop: int, seed: int) -> None:
    box = draw_crop(height, width, crop, SCALES, np.random.default_rng(seed))
    assert 0 <= box.top <= box.top + box.height <= height
    assert 0 <= box.left <= box.left + box.width <= width
    sizes = crop_sizes(min(height, width), crop, SCALES)
    rows = {i for i, size in enumerate(sizes) if size == box.height}
    columns = {i for i, size in enumerate(sizes) if size == box.width}
    assert min(abs(i - j) for i in rows for j in columns) <= 1


def test_all_crops_occur() -> None:
    rng = np.random.default_rng(0)
    boxes = [draw_crop(256, 340, 224, SCALES, rng) for _ in range(8000)]
    assert {(box.height, box.width) for box in boxes} == {
        (256, 256), (256, 224), (224, 256), (224, 224), (224, 192), (192, 224), (192, 192), (192, 168), (168, 192),
        (168, 168),
    }  # fmt: skip
    # 192 x 192: room 64 down and 148 to the right, in quarters 16 and 37
    places = {(box.top, box.left) for box in boxes if (box.height, box.width) == (192, 192)}
    assert places == {
        (0, 0), (0, 74), (0, 148), (32, 0), (32, 74), (32, 148), (64, 0), (64, 74), (64, 148),
        (16, 37), (16, 111), (48, 37), (48, 111),
    }  # fmt: skip


@given(SIDE, SIDE, st.lists(st.floats(0.01, 1), min_size=1, max_size=4), st.integers(0, 2**32))
def test_random_crops_are_squares_in_the_picture(height: int, width: int, scales: list[float], seed: int) -> None:
    box = draw_random_crop(height, width, scales, np.random.default_rng(seed))
    short = min(height, width)
    assert box.height == box.width
    assert max(1, short * min(scales) - 0.5) <= box.height <= min(short, max(1, short * max(scales) + 0.5))
    assert 0 <= box.top <= height - box.height
    assert 0 <= box.left <= width - box.width


def test_random_crops_are_those_of_slowfast() -> None:
    """A picture of 256 x 340, its shorter side resized to 1/U(1/340, 1/256), of which 224 x 224 pixels are cut out."""
    rng = np.random.default_rng(0)
    boxes = [draw_random_crop(256, 340, (224 / 256, 224 / 340), rng) for _ in range(20_000)]
    sides = np.array([box.height for box in boxes]) / 256
    slowfast = 224 / (1 / np.random.default_rng(1).uniform(1 / 340, 1 / 256, size=20_000))
    quantiles = np.linspace(0, 1, 11)
    assert np.quantile(sides, quantiles) == pytest.approx(np.quantile(slowfast, quantiles), abs=0.005)


@pytest.mark.parametrize(("height", "width"), [(6, 9), (9, 6)])
def test_all_places_of_random_crops_are_as_likely(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    boxes = [draw_random_crop(height, width, (2 / 3,), rng) for _ in range(9000)]
    assert {box.height for box in boxes} == {4}
    places, counts = np.unique([(box.top, box.left) for box in boxes], axis=0, return_counts=True)
    assert len(places) == 3 * 6
    assert counts.min() > 400  # 500 expected, standard deviation 22
    assert counts.max() < 600


def test_evaluation_crops_by_hand() -> None:
    assert evaluation_crops(256, 340, 224, "center") == [Box(16, 58, 224, 224)]
    assert evaluation_crops(256, 340, 224, "full") == [Box(0, 42, 256, 256)]
    assert evaluation_crops(256, 340, 224, "three") == [
        Box(0, 0, 256, 256),
        Box(0, 42, 256, 256),
        Box(0, 84, 256, 256),
    ]
    portrait = evaluation_crops(341, 256, 224, "three")
    assert [box.top for box in portrait] == [0, 42, 85]
    assert {box.left for box in portrait} == {0}


def test_small_pictures_give_their_largest_square() -> None:
    assert evaluation_crops(64, 86, 224, "center") == [Box(0, 11, 64, 64)]
    assert evaluation_side(64, 86, 224, "center") == 224
    assert evaluation_side(64, 86, 224, "full") == evaluation_side(86, 64, 32, "three") == 64


@given(SIDE, SIDE, st.integers(16, 300), st.sampled_from(["center", "full", "three"]))
def test_evaluation_crops_are_squares_in_the_picture(
    height: int, width: int, crop_px: int, crop: Literal["center", "full", "three"]
) -> None:
    boxes = evaluation_crops(height, width, crop_px, crop)
    assert len(boxes) == (3 if crop == "three" else 1)
    for box in boxes:
        assert box.height == box.width == min(height, width, crop_px if crop == "center" else 10**6)
        assert 0 <= box.top <= height - box.height
        assert 0 <= box.left <= width - box.width


def test_cut_takes_rows_and_columns() -> None:
    levels = torch.arange(20, dtype=torch.uint8).reshape(1, 4, 5)
    assert Box(1, 2, 2, 3).cut(levels).tolist() == [[[7, 8, 9], [12, 13, 14]]]


@pytest.mark.parametrize("shape", [(8, 10, 40, 50), (2, 15, 33, 47), (1, 3, 61, 61), (3, 1, 20, 21), (5, 40, 40)])
def test_resize_is_bilinear_with_antialiasing_whatever_the_channels(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    levels = torch.randint(0, 256, shape, dtype=torch.uint8)
    got = resize(levels, 32)
    exact = interpolate(
        levels.reshape(-1, 1, *shape[-2:]).double(), (32, 32), mode="bilinear", antialias=True, align_corners=False
    ).reshape(got.shape)
    assert got.dtype == torch.uint8
    # two passes, each rounded to 8 bits
    assert (got - exact).abs().max() <= 1.5
    assert (got - exact).abs().mean() <= 0.35
    assert (got - exact).mean().abs() <= 0.05


def test_equal_planes_stay_equal_in_every_modality() -> None:
    torch.manual_seed(0)
    plane = torch.randint(0, 256, (45, 52), dtype=torch.uint8)
    resized = [resize(plane.expand(8, channels, 45, 52), 32) for channels in (3, 10, 15)]
    assert all((levels == resized[0][0, 0]).all() for levels in resized)


def test_resize_to_the_same_size_changes_nothing() -> None:
    levels = torch.randint(0, 256, (2, 3, 40, 44), dtype=torch.uint8)
    cut = Box(4, 4, 32, 32).cut(levels)
    assert torch.equal(resize(cut, 32), cut)


def test_colours_side_by_side_are_resized_as_planes() -> None:
    planes = torch.randint(0, 256, (3, 3, 40, 44), dtype=torch.uint8)
    colours = planes.contiguous(memory_format=torch.channels_last)
    for box in (Box(0, 0, 40, 44), Box(4, 4, 32, 30)):
        assert torch.equal(resize(box.cut(colours), 28), resize(box.cut(planes), 28))


MARS_SCALES = (1.0, 0.841, 0.707, 0.595, 0.5)


@given(SIDE, SIDE, st.lists(st.floats(0.01, 1), min_size=1, max_size=5), st.integers(0, 2**32))
def test_corner_crops_are_in_a_corner_or_in_the_middle(height: int, width: int, scales: list[float], seed: int) -> None:
    box = draw_corner_crop(height, width, scales, np.random.default_rng(seed))
    assert box.height == box.width and not box.mirrored
    assert box.height in {max(1, int(min(height, width) * scale)) for scale in scales}
    above, below = box.top, height - box.top - box.height
    left, right = box.left, width - box.left - box.width
    in_corner = 0 in (above, below) and 0 in (left, right)
    in_middle = 0 <= below - above <= 1 and 0 <= right - left <= 1
    assert min(above, below, left, right) >= 0 and (in_corner or in_middle)


def test_all_corner_crops_are_as_likely() -> None:
    rng = np.random.default_rng(0)
    boxes = [draw_corner_crop(100, 133, MARS_SCALES, rng) for _ in range(10_000)]
    places = {side: {(box.top, box.left) for box in boxes if box.height == side} for side in (100, 84, 70, 59, 50)}
    assert sum(map(len, places.values())) == 23  # 5 of each but the largest: above and below are the same there
    assert places[100] == {(0, 0), (0, 33), (0, 16)}
    assert places[59] == {(0, 0), (0, 74), (41, 0), (41, 74), (20, 37)}
    counts = np.bincount([box.height for box in boxes])[[100, 84, 70, 59, 50]]
    assert counts.min() > 1850 and counts.max() < 2150  # 2000 expected, standard deviation 40
    of_one_size = [(box.top, box.left) for box in boxes if box.height == 50]
    assert np.unique(of_one_size, axis=0, return_counts=True)[1].min() > 330  # 400 expected, standard deviation 18


def test_ten_crops_by_hand() -> None:
    places = [(0, 0), (0, 116), (32, 0), (32, 116), (16, 58)]
    expected = [Box(top, left, 224, 224, mirrored) for mirrored in (False, True) for top, left in places]
    assert evaluation_crops(256, 340, 224, "ten") == expected
    assert evaluation_side(256, 340, 224, "ten") == 224


@given(SIDE, SIDE, st.integers(16, 300))
def test_ten_crops_are_four_corners_and_the_centre_twice(height: int, width: int, crop_px: int) -> None:
    boxes = evaluation_crops(height, width, crop_px, "ten")
    side = min(height, width, crop_px)
    assert [box.mirrored for box in boxes] == [False] * 5 + [True] * 5
    for box in (*boxes[:5], *boxes[5:]):
        assert box.height == box.width == side
        assert 0 <= box.top <= height - side and 0 <= box.left <= width - side
    assert [(box.top, box.left) for box in boxes[:5]] == [(box.top, box.left) for box in boxes[5:]]
    assert {(box.top, box.left) for box in boxes[:4]} == {(t, x) for t in (0, height - side) for x in (0, width - side)}
    assert boxes[4].top == (height - side) // 2 and boxes[4].left == (width - side) // 2


def test_the_largest_square_can_be_scaled_to_the_size_of_training() -> None:
    """MARS's code scales the shorter side to 112 and cuts the middle out."""
    assert (
        evaluation_crops(256, 340, 112, "scaled") == evaluation_crops(256, 340, 112, "full") == [Box(0, 42, 256, 256)]
    )
    assert evaluation_side(256, 340, 112, "scaled") == evaluation_side(100, 90, 112, "scaled") == 112
    assert evaluation_side(256, 340, 112, "full") == 256
