"""Temperatures and calibration errors, against plain loops and against what labels were drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.evaluation.calibration import (
    at_temperature,
    calibration_error,
    cross_fitted,
    fit_temperature,
    fused_probabilities,
    log_loss,
)
from mml_core.evaluation.fusion import sigmoid, softmax

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("fusion", ["logits", "probabilities"])
@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_members_that_agree_on_a_probability_keep_it(fusion: str, weight: float) -> None:
    """Three members of 0.6 do not become 0.9, as the softmax of their sum would."""
    logits = np.log([[0.6, 0.3, 0.1]])
    found = fused_probabilities([logits] * 3, [weight] * 3, fusion, multi_label=False)
    np.testing.assert_allclose(found, [[0.6, 0.3, 0.1]])
    several = fused_probabilities([np.array([[0.4, -3.0]])] * 3, [weight] * 3, fusion, multi_label=True)
    np.testing.assert_allclose(several, sigmoid(np.array([[0.4, -3.0]])))


@given(st.floats(0.1, 10), st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.booleans())
def test_no_temperature_changes_an_order(temperature: float, logits: list[float], multi_label: bool) -> None:
    scores = np.round(np.array([logits]), 3)
    said = sigmoid(scores) if multi_label else softmax(scores)
    found = at_temperature(said, temperature, multi_label=multi_label)
    assert found.min() >= 0 and found.max() <= 1
    for i in range(len(logits)):
        for j in range(len(logits)):
            assert (scores[0, i] > scores[0, j] + 0.01) <= (found[0, i] >= found[0, j])
    if not multi_label:
        np.testing.assert_allclose(found.sum(), 1)
        np.testing.assert_allclose(found, softmax(scores / temperature), atol=1e-6)


def drawn(temperature: float, videos: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of networks that are too sure by `temperature`, and labels drawn from the honest ones."""
    honest = RNG.normal(size=(videos, 4)) * 2
    labels = (honest + RNG.gumbel(size=honest.shape)).argmax(axis=1)
    return softmax(honest * temperature), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_networks_that_are_too_sure_is_found(temperature: float) -> None:
    said, labels = drawn(temperature)
    found = fit_temperature(said, labels)
    assert found == pytest.approx(temperature, rel=0.08)
    better = at_temperature(said, found, multi_label=False)
    assert log_loss(better, labels) <= log_loss(said, labels)
    tried = cross_fitted(said, labels)
    assert log_loss(tried, labels) >= log_loss(better, labels), "what it was not fitted on is told no better"
    if temperature != 1.0:
        assert calibration_error(tried, labels) < calibration_error(said, labels) / 2


def test_the_temperature_of_several_labels() -> None:
    honest = RNG.normal(size=(3000, 3)) * 2
    labels = (RNG.random(honest.shape) < sigmoid(honest)).astype(np.uint8)
    assert fit_temperature(sigmoid(honest * 2), labels) == pytest.approx(2, rel=0.08)
    assert calibration_error(sigmoid(honest), labels) < 0.03 < calibration_error(sigmoid(honest * 2), labels)


def test_videos_that_are_all_right_or_all_wrong_tell_no_temperature() -> None:
    said = softmax(RNG.normal(size=(20, 3)))
    assert fit_temperature(said, said.argmax(axis=1)) is None
    assert fit_temperature(said, said.argmin(axis=1)) is None


def test_groups_are_not_parted() -> None:
    """Copies of a video in a group are told by temperatures of the others alone: as of the one, without copies."""
    said, labels = drawn(3.0, 40)
    copies, groups = np.repeat(np.arange(40), 3), np.repeat(np.arange(40), 3)
    parted = cross_fitted(said[copies], labels[copies], groups)
    np.testing.assert_allclose(parted[::3], cross_fitted(said, labels), atol=1e-3)
    np.testing.assert_array_equal(parted[::3], parted[1::3])


def test_the_error_is_that_of_a_plain_loop() -> None:
    said, labels = drawn(2.0, 500)
    total = 0.0
    for number in range(15):
        low, high = number / 15, (number + 1) / 15
        inside = [i for i in range(500) if low <= said[i].max() < high or (number == 14 and said[i].max() == 1)]
        if inside:
            right = np.mean([said[i].argmax() == labels[i] for i in inside])
            total += len(inside) / 500 * abs(right - np.mean([said[i].max() for i in inside]))
    assert calibration_error(said, labels) == pytest.approx(total, abs=1e-9)
    sure = np.array([[1.0, 0.0]])
    assert calibration_error(sure, np.array([0])) == 0 and calibration_error(sure, np.array([1])) == 1
