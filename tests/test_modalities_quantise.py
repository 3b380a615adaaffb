"""Levels: the documented error bounds hold for every value, and zero is zero."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mml_core.modalities.quantise import difference_to_levels, flow_to_levels, levels_to_difference, levels_to_flow
from mml_core.shards.images import encode_planes


def test_flow_levels_by_hand() -> None:
    flow = np.array([0.0, -0.0, 20.0, -20.0, 99.0, -99.0, 20 / 127, 0.5 * 20 / 127, 0.51 * 20 / 127], np.float32)
    assert flow_to_levels(torch.from_numpy(flow), 20.0).tolist() == [128, 128, 255, 1, 255, 1, 129, 128, 129]
    assert levels_to_flow(np.array([128, 255, 1], np.uint8), 20.0).tolist() == [0.0, 20.0, -20.0]


@given(st.floats(-600, 600, width=32), st.floats(0.125, 512, width=32))
def test_flow_error_bound_and_negation(value: float, bound_px: float) -> None:
    levels = flow_to_levels(torch.tensor([value, -value]), bound_px).numpy()
    back = levels_to_flow(levels, bound_px)
    assert abs(back[0] - np.clip(value, -bound_px, bound_px)) <= bound_px / 254 * (1 + 1e-4)
    assert int(levels[0]) + int(levels[1]) == 256
    assert back[0] == -back[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_flow_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        flow_to_levels(torch.tensor([0.0, bad]), 20.0)


def test_every_difference() -> None:
    differences = np.arange(-255, 256)
    levels = difference_to_levels(differences)
    error = levels_to_difference(levels) - differences
    assert np.abs(error).max() == 1
    assert not error[differences % 2 == 0].any()
    assert abs(error.sum()) <= 2  # rounding to even favours no direction
    assert levels[255] == 128
    assert levels_to_difference(levels[255:256]) == 0
    assert (levels[1:-1].astype(int) + levels[1:-1][::-1] == 256).all()
    assert (levels[0], levels[-1]) == (0, 255)


@given(st.lists(st.integers(-255, 255), min_size=1, max_size=200))
def test_rounding_of_differences_costs_the_share_of_odd_ones(values: list[int]) -> None:
    differences = np.array(values)
    error = levels_to_difference(difference_to_levels(differences)) - differences
    assert np.mean(error**2) == np.mean(differences % 2)


def test_nothing_is_left_of_differences_of_one() -> None:
    assert not levels_to_difference(difference_to_levels(np.array([-1, 0, 1]))).any()


@pytest.mark.parametrize(("quality", "bound"), [(50, 33.55), (90, 6.71), (95, 3.36), (100, 0.5)])
@pytest.mark.parametrize("noise", [0.6, 2, 10, 40, 200])
def test_jpeg_error_of_levels_is_bounded_in_each_block(quality: int, bound: float, noise: float) -> None:
    """Half a step of each of a block's 64 coefficients, by Parseval; and half a level for rounding to pixels."""
    rng = np.random.default_rng(0)
    levels = np.clip(np.rint(128 + noise * rng.normal(size=(3, 64, 64))), 0, 255).astype(np.uint8)
    image = Image.open(io.BytesIO(encode_planes(levels, quality)))
    steps = np.array(image.quantization[0], dtype=float)
    assert np.sqrt(np.square(steps).mean()) / 2 == pytest.approx(bound, abs=0.01)
    error = np.asarray(image, dtype=float).reshape(levels.shape) - levels
    blocks = np.sqrt(np.square(error).reshape(3, 8, 8, 8, 8).mean(axis=(2, 4)))
    assert 0 < blocks.max() <= bound + 0.5
