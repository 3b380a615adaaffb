"""Counting correct videos of all ensembles, against fusing them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.evaluation.combinations import count_correct, sum_of_positions
from mml_core.evaluation.fusion import fuse
from mml_core.evaluation.metrics import hits

#: MML, Table XIII: sums of positions among the 13 x 11 x 6 ensembles of three modalities.
PUBLISHED = {
    "rgb": [9486, 10711, 13112, 15670, 26918, 28069, 31281, 31793, 31968, 35475, 36167, 46044, 50959],
    "flow": [22434, 25793, 28193, 28954, 28972, 29238, 32372, 32659, 34290, 50577, 54171],
}


def count_plainly(groups: Sequence[np.ndarray], labels: np.ndarray, k: int = 1) -> np.ndarray:
    """Fuse every ensemble and count its hits."""
    counts = [
        hits(fuse(members, [1.0] * len(members), "logits", multi_label=False), labels, k).sum()
        for members in product(*groups)
    ]
    return np.array(counts).reshape([len(group) for group in groups])


def make(
    sizes: Sequence[int], videos: int, classes: int, *, agree: float = 1.0, seed: int = 0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Make networks that agree on a video more or less, and are often but not always right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=videos)
    common = rng.normal(size=(videos, classes))
    common[np.arange(videos), labels] += rng.normal(1.5, 1.0, size=videos)
    return [agree * common + rng.normal(size=(size, videos, classes)) for size in sizes], labels


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 4), (1, 1), (1, 1, 1), (5, 1, 1), (1, 1, 9)])
@pytest.mark.parametrize("agree", [0.0, 1.0, 20.0])
def test_counts_are_those_of_fused_scores(sizes: tuple[int, ...], k: int, agree: float) -> None:
    groups, labels = make(sizes, 60, 23, agree=agree)
    counts = count_correct(groups, labels, k)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, count_plainly(groups, labels, k))


#: Values whose sums are often equal, or differ in the last place only, depending on the order of adding.
LOGITS = st.sampled_from(["integers", "tenths", "huge and small", "any"])


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=3),
    st.integers(1, 8),
    st.integers(1, 6),
    st.integers(1, 7),
    LOGITS,
    st.integers(0, 2**32),
)
def test_counts_are_exact_where_sums_are_equal_or_nearly(
    sizes: list[int], videos: int, classes: int, k: int, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shapes = [(size, videos, classes) for size in sizes]
    groups = [rng.integers(-3, 4, size=shape).astype(np.float64) for shape in shapes]
    if kind == "tenths":
        groups = [group / 10 for group in groups]
    elif kind == "huge and small":
        groups = [np.where(rng.random(group.shape) < 0.5, 1e16 * np.sign(group), group) for group in groups]
    elif kind == "any":
        groups = [rng.normal(size=shape) for shape in shapes]
    labels = rng.integers(classes, size=videos)
    np.testing.assert_array_equal(count_correct(groups, labels, k), count_plainly(groups, labels, k))


@pytest.mark.parametrize(("rival", "correct"), [((0.1, 0.2, 0.3), 0), ((0.3, 0.2, 0.1), 1)])
def test_sums_are_made_in_the_order_of_the_groups(rival: tuple[float, ...], correct: int) -> None:
    # the true class has 0.6 and wins ties: (0.1 + 0.2) + 0.3 is a unit in the last place above, (0.3 + 0.2) + 0.1 not
    groups = [np.array([[[own, other]]]) for own, other in zip((0.6, 0.0, 0.0), rival, strict=True)]
    assert count_correct(groups, np.array([0])).item() == correct


def test_the_first_of_equal_classes_wins() -> None:
    groups = [np.zeros((2, 3, 3))] * 3
    np.testing.assert_array_equal(count_correct(groups, np.array([0, 1, 2])), np.full((2, 2, 2), 1))
    np.testing.assert_array_equal(count_correct(groups, np.array([0, 1, 2]), 2), np.full((2, 2, 2), 2))


def test_one_class_is_always_right_and_a_large_k_too() -> None:
    assert count_correct([np.ones((1, 4, 1))] * 2, np.zeros(4, int)).item() == 4
    groups, labels = make((2, 2), 9, 3)
    assert (count_correct(groups, labels, 3) == 9).all()


@pytest.mark.parametrize("threads", [1, 2, 3, 70])
def test_threads_change_nothing(threads: int) -> None:
    groups, labels = make((3, 2, 4), 50, 11)
    np.testing.assert_array_equal(
        count_correct(groups, labels, threads=threads), count_correct(groups, labels, threads=1)
    )


def test_input_may_be_single_precision_and_strided_and_is_not_changed() -> None:
    groups, labels = make((3, 4), 20, 7)
    single = [group.astype(np.float32)[::-1] for group in groups]
    kept = [group.copy() for group in single]
    np.testing.assert_array_equal(count_correct(single, labels.astype(np.int32)), count_plainly(single, labels))
    for group, copy in zip(single, kept, strict=True):
        np.testing.assert_array_equal(group, copy)


@pytest.mark.parametrize(
    ("groups", "labels", "k", "message"),
    [
        ([np.ones((1, 2, 3))], [0, 1], 1, "two or three groups of networks, got 1"),
        ([np.ones((1, 2, 3))] * 4, [0, 1], 1, "two or three groups of networks, got 4"),
        ([np.ones((1, 2, 3)), np.ones((1, 2, 4))], [0, 1], 1, "same videos"),
        ([np.ones((1, 2, 3)), np.ones((0, 2, 3))], [0, 1], 1, "none empty"),
        ([np.ones((2, 3)), np.ones((2, 3))], [0, 1], 1, "same videos"),
        ([np.ones((1, 2, 3))] * 2, [0, 3], 1, "2 labels from 0 to 2"),
        ([np.ones((1, 2, 3))] * 2, [-1, 0], 1, "2 labels from 0 to 2"),
        ([np.ones((1, 2, 3))] * 2, [0], 1, r"2 labels from 0 to 2, got shape \(1,\)"),
        ([np.ones((1, 2, 3))] * 2, [0, 1], 0, "k of at least 1, got 0"),
        ([np.ones((1, 2, 3)), np.full((1, 2, 3), np.nan)], [0, 1], 1, "finite"),
        ([np.ones((1, 2, 3)), np.full((1, 2, 3), -np.inf)], [0, 1], 1, "finite"),
        ([np.full((1, 2, 3), 1e308)] * 2, [0, 1], 1, "finite sums"),
    ],
)
def test_what_does_not_fit_is_refused(groups: list[np.ndarray], labels: list[int], k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_correct(groups, np.array(labels), k)


def test_positions_by_hand() -> None:
    correct = np.array([[10, 7], [7, 3]])  # positions 0, 1.5 and 1.5, 3
    rows, columns = sum_of_positions(correct)
    assert rows.tolist() == [1.5, 4.5] and columns.tolist() == [1.5, 4.5]


@given(st.lists(st.integers(1, 5), min_size=2, max_size=3), st.integers(1, 20), st.integers(0, 2**32))
def test_positions_total_the_same_for_every_group(sizes: list[int], videos: int, seed: int) -> None:
    correct = np.random.default_rng(seed).integers(videos, size=sizes)
    count = correct.size
    for size, sums in zip(sizes, sum_of_positions(correct), strict=True):
        assert sums.shape == (size,)
        assert sums.sum() == count * (count - 1) / 2


def test_totals_are_those_of_the_paper() -> None:
    correct = np.random.default_rng(0).integers(24777, size=(13, 11, 6))
    for sums, published in zip(sum_of_positions(correct), PUBLISHED.values(), strict=False):
        assert len(sums) == len(published) and sums.sum() == sum(published) == 367653


def test_better_networks_have_smaller_sums_whatever_the_order() -> None:
    correct = np.add.outer(np.add.outer([3, 1, 2], [10, 20]), [0, 5, 9, 2])
    first, second, third = sum_of_positions(correct)
    assert (first.argsort() == [0, 2, 1]).all() and second[1] < second[0] and (third.argsort() == [2, 1, 3, 0]).all()
    for sums, mirrored in zip((first, second, third), sum_of_positions(correct[::-1, ::-1, ::-1]), strict=True):
        np.testing.assert_array_equal(sums, mirrored[::-1])
