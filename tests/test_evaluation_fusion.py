from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.errors import InputError
from mml_core.evaluation.fusion import alignment, fuse, sigmoid, softmax, video_logits

LN2, LN3 = np.log(2.0), np.log(3.0)


def test_video_logits_are_the_mean_over_views_in_float64() -> None:
    logits = np.array([[1, 2], [3, 6], [0, 0], [-4, 1]], np.float32)
    mean = video_logits(logits, np.array([2, 2]), "mean")
    assert mean.dtype == np.float64
    np.testing.assert_array_equal(mean, [[2, 4], [-2, 0.5]])


def test_videos_may_have_different_numbers_of_views() -> None:
    logits, views = np.array([[1, 2], [4, 8], [4, -3], [-4, 1], [0, 5]], np.float32), np.array([1, 3, 1])
    np.testing.assert_allclose(video_logits(logits, views, "mean"), [[1, 2], [4 / 3, 2], [0, 5]], rtol=1e-15)
    np.testing.assert_array_equal(video_logits(logits, views, "max"), [[1, 2], [4, 8], [0, 5]])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.sampled_from(["mean", "max"]), st.integers(0, 99))
def test_views_of_a_video_are_reduced_as_if_it_were_alone(counts: list[int], reduction: str, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(sum(counts), 4)).astype(np.float32)
    reduced = video_logits(logits, np.array(counts), reduction)
    assert reduced.dtype == np.float64
    for row, part in zip(reduced, np.split(logits, np.cumsum(counts)[:-1]), strict=True):
        alone = {"mean": part.astype(np.float64).mean(axis=0), "max": part.max(axis=0)}[reduction]
        np.testing.assert_allclose(row, alone, rtol=1e-14, atol=1e-15)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_equal_numbers_of_views_are_the_rectangular_case(videos: int, views: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(videos, views, 3)).astype(np.float32)
    ragged = (logits.reshape(-1, 3), np.full(videos, views))
    np.testing.assert_array_equal(video_logits(*ragged, "mean"), logits.mean(axis=1, dtype=np.float64))
    np.testing.assert_array_equal(video_logits(*ragged, "max"), logits.max(axis=1))


def test_softmax_and_sigmoid_by_hand_and_without_overflow() -> None:
    np.testing.assert_allclose(softmax(np.array([[0.0, LN3], [1000.0, 1000.0]])), [[0.25, 0.75], [0.5, 0.5]])
    with np.errstate(over="raise"):
        np.testing.assert_allclose(sigmoid(np.array([0.0, LN3, -LN3, 1000.0, -1000.0])), [0.5, 0.75, 0.25, 1, 0])


def test_fusion_of_logits_by_hand() -> None:
    fused = fuse([np.array([[1.0, 2.0]]), np.array([[10.0, -4.0]])], [2.0, 0.5], "logits", multi_label=False)
    np.testing.assert_array_equal(fused, [[7.0, 2.0]])


def test_fusion_of_probabilities_by_hand() -> None:
    members = [np.array([[0.0, LN3]]), np.array([[LN2, 0.0]])]  # probabilities (1/4, 3/4) and (2/3, 1/3)
    fused = fuse(members, [1.0, 3.0], "probabilities", multi_label=False)
    np.testing.assert_allclose(fused, [[0.25 + 2.0, 0.75 + 1.0]])
    independent = fuse(members, [1.0, 3.0], "probabilities", multi_label=True)
    np.testing.assert_allclose(independent, [[0.5 + 2.0, 0.75 + 1.5]])


def test_fusion_of_logits_and_of_probabilities_can_disagree() -> None:
    sure, unsure = np.array([[9.0, 0.0]]), np.array([[0.0, 3.0]])
    logits = fuse([sure, unsure, unsure], [1, 1, 1], "logits", multi_label=False)
    probabilities = fuse([sure, unsure, unsure], [1, 1, 1], "probabilities", multi_label=False)
    assert logits.argmax() == 0 and probabilities.argmax() == 1


def test_members_are_not_changed() -> None:
    member = np.array([[1.0, 2.0]])
    fuse([member], [3.0], "logits", multi_label=False)
    np.testing.assert_array_equal(member, [[1.0, 2.0]])


@given(st.permutations(["a", "b", "c", "d", "e"]))
def test_alignment_brings_any_order_back(order: list[str]) -> None:
    reference = ["a", "b", "c", "d", "e"]
    assert [order[index] for index in alignment(reference, order, names=("x", "y"))] == reference


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (["a"], r"x and y were not scored on the same videos: 1 differ, for example 'b' has no scores of y"),
        (["a", "b", "z"], r"1 differ, for example 'z' has no scores of x"),
        (["a", "z"], "2 differ, for example 'b' has no scores of y"),
    ],
)
def test_members_with_other_videos_are_refused(other: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        alignment(["a", "b"], other, names=("x", "y"))
