"""Compiled code over pixels: to the bit what PyTorch and NumPy make of them, in parts of pictures and at edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips_store import make_stores
from hypothesis import example, given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from mml_core.clips import EvaluationClips, Sample, TrainingClips, flip_policy, loader
from mml_core.clips.crops import resize, resize_into
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.pixels import ready
from mml_core.pixels.differences import can_subtract, difference_into
from mml_core.pixels.planes import can_resize, resize_planes
from mml_core.pixels.taps import taps
from mml_core.shards.differences import pair_levels

SIDE = st.integers(32, 90) | st.integers(32, 300)


def noise(shape: tuple[int, ...], seed: int, *, extreme: bool = False) -> np.ndarray:
    """Levels at random, or 0 and 255 alone, whose sums come closest to what is cut off."""
    levels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return np.where(levels > 127, 255, 0).astype(np.uint8) if extreme else levels


def by_torch(levels: np.ndarray, side: int) -> np.ndarray:
    """What PyTorch makes of levels (N, C, H, W), up to four channels by its vectorised code."""
    return interpolate(torch.tensor(levels), (side, side), mode="bilinear", antialias=True).numpy()


@given(SIDE, SIDE, SIDE, st.integers(1, 6), st.booleans(), st.integers(0, 2**32))
@example(256, 224, 224, 2, False, 0)  # a side that stays
@example(224, 256, 224, 2, False, 0)
@example(224, 224, 224, 2, False, 0)
@example(256, 256, 224, 3, False, 0)
@example(33, 1000, 32, 1, True, 0)  # many taps
@example(700, 32, 33, 1, True, 0)
def test_resized_planes_are_those_of_pytorch(
    height: int, width: int, side: int, channels: int, extreme: bool, seed: int
) -> None:
    """Planes one behind the other and side by side; of five and more channels PyTorch resizes by other code."""
    levels = noise((1, channels, height, width), seed, extreme=extreme)
    expected = by_torch(levels, side)
    beside = np.ascontiguousarray(levels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for view in (levels, beside, levels[0], beside[0]):
        out = np.full((1, channels, side, side)[-view.ndim :], 7, np.uint8)
        assert can_resize(view, out)
        resize_planes(view, out)
        np.testing.assert_array_equal(out.reshape(expected.shape), expected)


@pytest.mark.parametrize("beside", [False, True])
def test_parts_of_pictures_are_resized_where_they_lie(beside: bool) -> None:
    levels = noise((3, 3, 70, 90), 0)
    if beside:
        levels = np.ascontiguousarray(levels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for top, left, height, width in [(0, 0, 70, 90), (5, 7, 41, 33), (38, 58, 32, 32), (0, 57, 70, 33)]:
        cut = levels[..., top : top + height, left : left + width]
        out = np.full((3, 3, 45, 45), 7, np.uint8)
        assert can_resize(cut, out)
        resize_planes(cut, out)
        np.testing.assert_array_equal(out, by_torch(np.ascontiguousarray(cut), 45))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 2, 3, 4, 5]), st.booleans())
def test_it_makes_no_difference_whether_code_is_ready(
    height: int, width: int, side: int, channels: int, mixed: bool
) -> None:
    """Of pictures of all sizes: small ones are always left to PyTorch."""
    levels = noise((2, height + 3, width + 2, channels), height)[:, 1:-2, :-2].transpose(0, 3, 1, 2)
    levels.flags.writeable = False
    found = []
    for flag in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mml_core.clips.crops.is_ready", lambda flag=flag: flag)
            found.append(resize(torch.tensor(levels), side, mixed=mixed).numpy())
            single = np.empty((channels, side, side), np.uint8)
            resize_into(levels[1], single, mixed=mixed)
            np.testing.assert_array_equal(single, found[-1][1])
    np.testing.assert_array_equal(*found)


def test_pictures_that_lie_otherwise_are_left_to_pytorch() -> None:
    out = np.empty((2, 40, 40), np.uint8)
    assert can_resize(noise((2, 50, 50), 0), out)
    assert not can_resize(noise((2, 50, 31), 0), out)
    assert not can_resize(noise((2, 50, 100), 0)[..., ::2], out)
    assert not can_resize(noise((4, 50, 50), 0)[::2].transpose(0, 2, 1), out)
    assert not can_resize(noise((50, 50, 4), 0).transpose(2, 0, 1)[:2], out)
    assert not can_resize(noise((2, 50, 50), 0), np.empty((2, 31, 31), np.uint8))


def test_weights_of_an_axis_sum_to_one_and_stay_within_it() -> None:
    for length, side in [(256, 224), (168, 224), (224, 224), (33, 300), (1000, 32)]:
        first, weights, precision = taps(length, side)
        assert first.min() >= 0 and first.max() + weights.shape[1] <= length
        assert weights.min() >= 0 and 1 << 13 <= weights.max() < 1 << 15
        np.testing.assert_allclose(weights.sum(axis=1) / (1 << precision), 1, atol=1e-3)


def test_differences_of_all_pairs_of_values_are_those_of_numpy() -> None:
    """Also of parts of frames, of which rows end within a vector."""
    frames = np.stack([part.astype(np.uint8) for part in np.mgrid[:256, :256]])[..., None].repeat(3, axis=-1)
    for rows, columns in [(slice(None), slice(None)), (slice(3, 250), slice(11, 200)), (slice(1), slice(5, 16))]:
        earlier, later = frames[:, rows, columns].transpose(0, 3, 1, 2)
        assert can_subtract(earlier)
        out = np.full(earlier.transpose(1, 2, 0).shape, 7, np.uint8)
        difference_into(earlier, later, out)
        (expected,) = pair_levels([(earlier, later)])
        np.testing.assert_array_equal(out.transpose(2, 0, 1), expected)
    assert not can_subtract(frames[0, :, :10].transpose(2, 0, 1))
    assert not can_subtract(np.ascontiguousarray(frames[0].transpose(2, 0, 1)))


def test_loaders_make_code_ready_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []
    monkeypatch.setattr(loader, "make_ready", lambda: made.append(True))
    clip = ClipConfig(frames=8, crop_px=224)  # 1.2 million pixels
    stores, samples = make_stores({"a": 9}, ["rgb"], torch.zeros(224, 224, dtype=torch.uint8)), [Sample("a", ())]
    settings = {"class_count": 1, "multi_label": True}
    clips = TrainingClips(stores, samples, clip, flip=flip_policy("never", [None]), seed=0, **settings)
    protocol = ProtocolConfig(dense=0, uniform=1, crop="center")
    views = EvaluationClips(stores, samples, clip, protocol, **settings)
    for count, expected in ((83, []), (84, [True])):
        loader.training_loader(clips, [[(epoch, 0)] for epoch in range(count)], 0)
        assert made == expected
    made.clear()
    for count, expected in ((83, []), (84, [True])):
        loader.evaluation_loader(views.part([0] * count), 8, 0)
        assert made == expected


def test_code_is_made_ready_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "_READY", type(ready._READY)())
    assert not ready.is_ready()
    ready.make_ready()
    assert ready.is_ready()
    monkeypatch.setattr("mml_core.pixels.planes.resize_planes", None)
    ready.make_ready()
