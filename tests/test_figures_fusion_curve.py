"""Accuracy over fusion weights, by hand and against a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.figures.fusion_curve import WEIGHTS, accuracies_by_weights

#: Three videos of classes 0, 1, 2. The first network is right about videos 0 and 1, the second about 2, both at 2 : 1.
FIRST = np.array([[3.0, 0, 0], [0, 2, 0], [1.0, 0, 0]])
SECOND = np.array([[0.0, 1, 0], [3, 0, 0], [0, 0, 4.0]])
LABELS = np.array([0, 1, 2])


def test_worked_out_by_hand() -> None:
    """Video 1 is right where 2 a > 3 b; video 0 where 3 a >= b, the smaller class winning; video 2 where 4 b > a."""
    weights = [(1, 0), (5, 1), (2, 1), (3, 2), (1, 1), (1, 3), (1, 4), (0, 1)]
    right = [2, 2, 3, 2, 2, 2, 1, 1]
    assert accuracies_by_weights(FIRST, SECOND, LABELS, weights=weights).tolist() == pytest.approx(
        [100 * count / 3 for count in right]
    )
    assert accuracies_by_weights(FIRST, SECOND, LABELS, weights=weights, k=3).tolist() == [100] * 8


@given(st.integers(1, 8), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_only_the_ratio_of_the_weights_counts(videos: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, videos, classes))
    labels = rng.integers(classes, size=videos)
    said = accuracies_by_weights(first, second, labels)
    assert len(said) == len(WEIGHTS)
    for (a, b), accuracy in zip(WEIGHTS, said, strict=True):
        right = sum(int(np.argmax(2 * a * first[v] + 2 * b * second[v]) == labels[v]) for v in range(videos))
        assert accuracy == pytest.approx(100 * right / videos)
    turned = accuracies_by_weights(second, first, labels, weights=[(b, a) for a, b in WEIGHTS])
    assert said.tolist() == turned.tolist()


def test_probabilities_weigh_what_networks_are_sure_of() -> None:
    """Large logits win among logits; among probabilities they count 1 at most."""
    sure, surer, label = np.array([[0.0, 2.0]]), np.array([[50.0, 0.0]]), np.array([1])
    assert accuracies_by_weights(sure, surer, label, weights=[(2, 1)]).tolist() == [0]
    assert accuracies_by_weights(sure, surer, label, weights=[(2, 1)], fusion="probabilities").tolist() == [100]
