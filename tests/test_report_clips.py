from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mml_core.modalities.quantise import flow_to_levels
from mml_core.report.clips import (
    WAVE,
    colour_wheel,
    depth_pictures,
    diff_pictures,
    flow_pictures,
    rgb_pictures,
    strip,
    wave_pictures,
)
from mml_core.report.samples import PICTURES, choose, picture_numbers, strips


def test_colour_wheel_is_the_key_to_the_colours() -> None:
    wheel = colour_wheel(101)
    assert wheel.shape == (101, 101, 3)
    assert tuple(wheel[50, 50]) == (255, 255, 255) == tuple(wheel[0, 0])
    assert wheel[50, 99, 0] == 255 and wheel[50, 99, 1:].max() < 10  # right: red
    # 0.97 of the full saturation: 255 - 0.97 * (255 - full colour), full colours as in tests/test_flow_picture.py
    np.testing.assert_allclose(wheel[50, 1], [7, 210, 255], atol=2)  # left: a light blue
    np.testing.assert_allclose(wheel[99, 50], [255, 230, 7], atol=2)  # down: yellow
    np.testing.assert_allclose(wheel[1, 50], [93, 7, 255], atol=2)  # up: violet


def test_flow_is_scaled_to_the_strip_and_still_scenes_stay_white() -> None:
    flow = torch.zeros((2, 2, 10, 10))
    flow[1, 0] = 4.0
    pictures, full = flow_pictures(flow_to_levels(flow, 20.0).numpy(), 20.0)
    assert full == pytest.approx(4.0, abs=0.08)  # half a level of 20 / 127 px
    assert (pictures[0] == 255).all() and (pictures[1] == [255, 0, 0]).all()
    noise = torch.full((1, 2, 10, 10), 0.2)
    pictures, full = flow_pictures(flow_to_levels(noise, 20.0).numpy(), 20.0)
    assert full == 1.0 and pictures.min() > 180


def test_depth_is_blue_near_and_red_far_and_black_where_nothing_was_read() -> None:
    levels = np.array([[[[0, 1], [255, 128]]]], np.uint8)
    assert depth_pictures(levels).tolist() == [[[[0, 0, 0], [0, 0, 132]], [[128, 0, 0], [130, 255, 126]]]]


def test_differences_are_grey_where_nothing_changed() -> None:
    levels = np.array([128, 129, 127, 255, 0], np.uint8)[:, None, None, None].repeat(3, axis=1)  # (5, 3, 1, 1)
    np.testing.assert_array_equal(diff_pictures(levels)[:, 0, 0, 0], [128, 130, 126, 255, 0])
    assert rgb_pictures(np.zeros((2, 3, 4, 5), np.uint8)).shape == (2, 4, 5, 3)


def test_strip_puts_scaled_pictures_side_by_side() -> None:
    pictures = np.stack([np.full((40, 60, 3), value, np.uint8) for value in (10, 200)])
    row = strip(pictures, 20, gap=2)
    assert row.shape == (20, 62, 3)
    assert (row[:, :30] == 10).all() and (row[:, 30:32] == 255).all() and (row[:, 32:] == 200).all()


def test_strip_of_one_odd_picture() -> None:
    assert strip(np.zeros((1, 37, 1, 3), np.uint8), 9).shape == (9, 1, 3)


@given(st.integers(1, 500), st.integers(1, 16))
def test_picture_numbers_are_in_range_and_centred(count: int, pictures: int) -> None:
    numbers = picture_numbers(count, pictures)
    assert len(numbers) == pictures and numbers == sorted(numbers)
    assert min(numbers) >= 0 and max(numbers) < count
    assert abs(numbers[0] - (count - 1 - numbers[-1])) <= 1


def test_picture_numbers_by_hand() -> None:
    assert picture_numbers(16, 8) == [1, 3, 5, 7, 9, 11, 13, 15]
    assert picture_numbers(1, 3) == [0, 0, 0]


def test_chosen_videos_are_of_different_classes_whatever_their_order() -> None:
    ids, labels = ["f", "a", "c", "b", "d", "e"], [2, 0, 1, 0, 1, 2]
    assert [ids[place] for place in choose(ids, labels, 2)] == ["a", "e"]
    assert [ids[place] for place in choose(ids, labels, 9)] == ["a", "c", "e"]
    assert choose([], [], 4) == []


class FakeStore:
    """The part of a ModalityStore that strips use; records what was read."""

    def __init__(self, kind: str, count: int) -> None:
        self.info = SimpleNamespace(kind=kind, bound_px=20.0)
        self.videos = {"v": SimpleNamespace(count=count)}
        self.starts: list[int] = []

    def read(self, video_id: str, starts: list[int], length: int) -> torch.Tensor:
        self.starts = list(starts)
        return torch.full(
            (len(starts), length * (2 if self.info.kind == "flow" else 3), 24, 32), 128, dtype=torch.uint8
        )


def test_strips_of_all_modalities_show_the_same_moments() -> None:
    stores = {"rgb": FakeStore("rgb", 40), "flow": FakeStore("flow", 39), "diff": FakeStore("diff", 39)}
    made = strips(stores, "v")
    assert [one.caption for one in made] == ["rgb", "flow, full colour at 1.0 px a frame", "diff"]
    assert stores["rgb"].starts == stores["flow"].starts == stores["diff"].starts == picture_numbers(39)
    assert picture_numbers(39) != picture_numbers(40)
    assert len(stores["rgb"].starts) == PICTURES
    assert all(one.uri.startswith("data:image/jpeg;base64,") for one in made)


def test_sound_is_drawn_from_its_least_to_its_most_sample() -> None:
    """Silence is the middle rows; the loudest sample reaches the edge; each column has its own samples."""
    windows = np.zeros((2, 8), np.int16)
    windows[1, 2:4] = [-32_768, 32_767]
    windows[1, 6] = 16_384
    silent, loud = (pictures[..., 0] == WAVE for pictures in wave_pictures(windows, 8, 4))
    assert silent.sum() == 8 and silent[3:5].all()
    assert loud[:, 1].all() and (loud[:, [0, 2]] == silent[:, [0, 2]]).all()
    assert loud[2:5, 3].all() and not loud[0, 3] and not loud[6:, 3].any()
    assert wave_pictures(windows, 9, 4).shape == (2, 9, 4, 3) and wave_pictures(windows, 9, 4).dtype == np.uint8
