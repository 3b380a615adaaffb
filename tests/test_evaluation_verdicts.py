"""Verdicts of claims, alone and corrected for their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.evaluation.verdicts import MEANINGS, holm, verdict

NAN = float("nan")


@pytest.mark.parametrize(
    ("interval", "one", "several"),
    [
        ((0.01, 0.3), "higher on these videos", "holds"),
        ((-0.3, -0.01), "lower on these videos", "contradicted"),
        ((-0.1, 0.2), "open", "open"),
        ((0.0, 0.2), "open", "open"),
        ((-0.2, 0.0), "open", "open"),
        ((NAN, NAN), "untested", "untested"),
    ],
)
def test_one_seed_never_speaks_of_the_claim(interval: tuple[float, float], one: str, several: str) -> None:
    assert verdict(*interval, 1) == one and one not in ("holds", "contradicted")
    assert {verdict(*interval, seeds) for seeds in (2, 3, 20)} == {several}
    assert {one, several} <= set(MEANINGS)


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, none below the one before
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9, 0.04])), [1, 1, 0.12])
    np.testing.assert_allclose(holm(np.array([0.03])), [0.03])


def test_what_was_not_tested_does_not_count() -> None:
    np.testing.assert_allclose(holm(np.array([NAN, 0.02, NAN, 0.03])), [NAN, 0.04, NAN, 0.04])
    assert np.isnan(holm(np.array([NAN, NAN]))).all() and holm(np.array([])).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_holm_is_between_no_correction_and_bonferronis(values: list[float], random: object) -> None:
    p_values = np.array(values)
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all() and (adjusted <= np.minimum(1, len(values) * p_values)).all()
    order = list(range(len(values)))
    random.shuffle(order)
    np.testing.assert_array_equal(holm(p_values[order]), adjusted[order])


def test_of_many_true_nulls_any_is_rejected_as_often_as_of_one() -> None:
    p_values = np.random.default_rng(0).random((2000, 20))
    rejected = np.mean([(holm(one) <= 0.05).any() for one in p_values])
    assert rejected <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert np.mean((p_values <= 0.05).any(axis=1)) > 0.6
