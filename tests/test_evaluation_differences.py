"""Intervals of differences: by hand, against SciPy and plain resampling, and their level under simulated nulls."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from mml_core.evaluation.differences import (
    MAP_RESAMPLES,
    Part,
    difference,
    half_width,
    map_difference,
    p_value,
    run_part,
    video_part,
)
from mml_core.evaluation.metrics import mean_average_precision
from mml_core.evaluation.uncertainty import estimate
from mml_core.evaluation.weighted_map import rank, weighted_map

#: Experiments a setting: at a level of 5 % the share of false alarms has a standard error of half a point.
EXPERIMENTS = 2000
MOST_FALSE = 0.05 + 3 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)
TABLES = st.tuples(st.integers(1, 4), st.integers(2, 20)).flatmap(
    lambda shape: st.tuples(*2 * [arrays.arrays(np.int8, shape, elements=st.integers(0, 1))])
)


def null_differences(runs: int, videos: int, deviation: float, *, ease: float = 0.7, seed: int = 0) -> np.ndarray:
    """Simulate differences (EXPERIMENTS, runs, videos) of two methods of which neither is better.

    Videos differ in how easy they are, and the accuracy of a training by `deviation` from the method's.
    """
    rng = np.random.default_rng(seed)
    spread = min(0.3, 2 * (1 - ease))
    chances = np.clip(rng.normal(ease, spread, size=(EXPERIMENTS, 1, videos)), 0, 1).astype(np.float32)
    sides = [
        rng.random((EXPERIMENTS, runs, videos), dtype=np.float32)
        < chances + rng.normal(scale=deviation, size=(EXPERIMENTS, runs, 1)).astype(np.float32)
        for _ in range(2)
    ]
    return sides[0].astype(np.float32) - sides[1].astype(np.float32)


def false_alarms(differences: np.ndarray, parts: list[Part]) -> float:
    """Return the share of experiments whose interval leaves out zero."""
    return float((np.abs(differences.mean(axis=(1, 2))) > half_width(parts)).mean())


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("videos", [97, 480])
@pytest.mark.parametrize("deviation", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("ease", [0.7, 0.97])
def test_the_interval_keeps_its_level(runs: int, videos: int, deviation: float, ease: float) -> None:
    differences = null_differences(runs, videos, deviation, ease=ease, seed=runs)
    assert false_alarms(differences, [run_part(differences), video_part(differences, None)]) <= MOST_FALSE


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_the_level_is_not_kept_by_being_of_no_use(runs: int) -> None:
    """Where runs are nearly all that varies the interval is exact; a true difference is found with enough runs."""
    differences = null_differences(runs, 480, 0.2, seed=runs)
    parts = [run_part(differences), video_part(differences, None)]
    assert 0.03 <= false_alarms(differences, parts) <= MOST_FALSE
    shifted = null_differences(5, 480, 0.02, seed=runs) + np.float32(0.08)
    assert false_alarms(shifted, [run_part(shifted), video_part(shifted, None)]) > 0.85


def test_one_seed_says_nothing_of_the_method() -> None:
    """What verdicts were once given by: more than a quarter of intervals over videos alone leaves out zero."""
    differences = null_differences(1, 480, 0.02, ease=0.95)
    assert 0.25 < false_alarms(differences, [video_part(differences, None)]) < 0.45


def test_a_bootstrap_over_two_seeds_was_wrong_too_often() -> None:
    differences = null_differences(2, 480, 0.05, seed=3)[:300].astype(np.float64)
    intervals = [estimate(one) for one in differences]
    assert np.mean([one.low > 0 or one.high < 0 for one in intervals]) > 0.1
    parts = [run_part(differences), video_part(differences, None)]
    assert false_alarms(differences, parts) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(("groups", "size"), [(6, 10), (20, 24)])
@pytest.mark.parametrize("runs", [1, 3])
def test_the_interval_keeps_its_level_with_videos_in_groups(groups: int, size: int, runs: int) -> None:
    """In a session one of the methods is better, for all of its clips."""
    rng = np.random.default_rng(groups + runs)
    numbers = np.repeat(np.arange(groups), size)
    shares = np.clip(rng.normal(scale=0.3, size=(EXPERIMENTS, 1, groups)), -1, 1)[:, :, numbers]
    decided = rng.random((EXPERIMENTS, runs, groups * size)) < np.abs(shares)
    differences = decided * np.sign(shares)
    of_runs = [run_part(differences)] if runs > 1 else []
    assert false_alarms(differences, [*of_runs, video_part(differences, numbers)]) <= MOST_FALSE + 0.01 * (runs == 1)
    if runs == 1:
        assert false_alarms(differences, [video_part(differences, None)]) > 0.2, "clips are not independent"


def test_by_hand() -> None:
    better, worse = np.array([[1, 1, 1, 0], [1, 0, 1, 0]]), np.array([[1, 0, 0, 0], [1, 0, 1, 1]])
    result = difference(better, worse)
    # runs: 1/2 and -1/4; videos: 0, 1/2, 1/2, -1/2 about 1/8, squares 1/64, 9/64, 9/64, 25/64
    assert (result.value, result.seeds, result.share_of_runs, result.groups) == (1 / 8, 2, 0.5, 4)
    assert result.std == pytest.approx(0.75 / math.sqrt(2))
    of_runs, of_videos = (0.75**2 / 2) / 2, (44 / 64 / 3) / 4
    width = math.sqrt(12.7062**2 * of_runs + 3.18245**2 * of_videos)  # Student's quantiles for 1 and 3
    assert width > 1 and (result.low, result.high) == (-1, 1), "a difference of shares is not beyond 1"
    parts = [run_part((better - worse).astype(float)), video_part((better - worse).astype(float), None)]
    assert parts == [pytest.approx((of_runs, 1)), pytest.approx((of_videos, 3))]
    assert half_width(parts) == pytest.approx(width, rel=1e-4)


def test_of_groups_by_hand() -> None:
    """Groups of one, two and three videos: sums 1, 1, -1 less size times the mean of 1/6."""
    values = np.array([[1, 1, 0, -1, 0, 0]], np.float64)
    part = video_part(values, np.array([0, 1, 1, 2, 2, 2]))
    squares = (1 - 1 / 6) ** 2 + (1 - 2 / 6) ** 2 + (-1 - 3 / 6) ** 2
    assert part == (pytest.approx(squares * 3 / 2 / 36), 2)


def test_with_one_run_it_is_students_interval_over_videos() -> None:
    rng = np.random.default_rng(0)
    better, worse = (rng.random((1, 200)) < share for share in (0.7, 0.6))
    result = difference(better, worse)
    expected = stats.ttest_rel(better[0].astype(float), worse[0].astype(float))
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert result.p == pytest.approx(expected.pvalue)
    assert math.isnan(result.std) and result.seeds == 1


def test_where_videos_do_not_differ_it_is_students_interval_over_runs() -> None:
    means = np.array([0.1, 0.4, 0.3])
    result = difference(np.repeat(means[:, None], 9, axis=1), np.zeros((3, 9)))
    expected = stats.ttest_1samp(means, 0)
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=1e-6)
    assert result.p == pytest.approx(expected.pvalue, rel=1e-6)


@given(TABLES)
def test_p_says_the_same_as_the_interval(pair: tuple[np.ndarray, np.ndarray]) -> None:
    result = difference(*pair)
    assert 0 <= result.p <= 1 and result.low <= result.value <= result.high
    assert (result.p <= 0.05) == (result.low > 0 or result.high < 0) or min(abs(result.low), abs(result.high)) < 1e-9
    turned = difference(*pair[::-1])
    assert (turned.value, turned.low, turned.high) == (-result.value, -result.high, -result.low)
    assert turned.p == result.p


@given(TABLES)
def test_a_group_a_video_is_as_no_groups_and_names_do_not_matter(pair: tuple[np.ndarray, np.ndarray]) -> None:
    plain = difference(*pair)
    order = np.random.default_rng(0).permutation(pair[0].shape[1])
    np.testing.assert_allclose(difference(*pair, order), plain, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_without_any_variance_only_no_difference_is_possible_by_chance(value: float) -> None:
    assert p_value(value, [Part(0.0, 1), Part(0.0, 9)]) == (value == 0)
    result = difference(np.full((2, 5), value), np.zeros((2, 5)))
    assert (result.low, result.high, result.p) == (value, value, value == 0)


def test_of_one_group_nothing_is_known_of_others() -> None:
    rng = np.random.default_rng(0)
    result = difference(rng.random((3, 8)) < 0.9, rng.random((3, 8)) < 0.2, np.zeros(8, np.int64))
    assert math.isnan(result.low) and math.isnan(result.high) and math.isnan(result.p)
    assert result.value > 0 and result.std > 0 and (result.groups, result.seeds) == (1, 3)
    assert math.isnan(difference(np.ones((2, 1)), np.zeros((2, 1))).low), "nor of one video"
    labels = np.array([[1, 0], [0, 1]], np.uint8)
    scores = [np.array([[0.5, 0.1], [0.7, 0.2]])]
    assert math.isnan(map_difference(scores, scores, labels, np.zeros(2, np.int64)).low)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got shapes \(2, 3\) and \(1, 3\)"):
        difference(np.zeros((2, 3)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="got shapes"):
        difference(np.zeros((0, 3)), np.zeros((0, 3)))


@given(st.integers(0, 2**32), st.sampled_from([3, 1000]))
def test_weighted_precision_is_that_of_repeated_videos(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((12, 4)) < 0.3).astype(np.uint8)
    scores, times = rng.integers(levels, size=(12, 4)).astype(np.float64), rng.multinomial(12, np.full(12, 1 / 12))
    expected = mean_average_precision(scores.repeat(times, axis=0), labels.repeat(times, axis=0))
    if labels.any():
        got = weighted_map(rank(scores, labels), times)
        assert got == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("count_of_runs", [1, 5])
@pytest.mark.parametrize("grouped", [False, True])
def test_map_difference_agrees_with_plain_resampling(grouped: bool, count_of_runs: int) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((150, 2)) < 0.2).astype(np.uint8)
    better = [rng.normal(size=labels.shape) + 1.5 * labels for _ in range(count_of_runs)]
    worse = [rng.normal(size=labels.shape) + 1.0 * labels for _ in range(count_of_runs)]
    groups = np.arange(150) // 5 if grouped else np.arange(150)
    count = int(groups.max()) + 1

    def mean_difference(videos: np.ndarray) -> np.ndarray:
        ours, theirs = (
            np.array([mean_average_precision(one[videos], labels[videos]) for one in side]) for side in (better, worse)
        )
        return ours - theirs

    runs = mean_difference(np.arange(150))
    members = [np.flatnonzero(groups == number) for number in range(count)]
    drawn = (rng.integers(count, size=count) for _ in range(150))
    plain = [mean_difference(np.concatenate([members[one] for one in chosen])).mean() for chosen in drawn]
    result = map_difference(better, worse, labels, groups if grouped else None)
    assert result.value == pytest.approx(runs.mean())
    assert (result.seeds, result.groups, result.share_of_runs) == (count_of_runs, count, np.mean(runs > 0))
    parts = [Part(np.var(plain, ddof=1) * count / (count - 1), count - 1)]
    if count_of_runs > 1:
        assert result.std == pytest.approx(np.std(runs, ddof=1))
        parts.append(Part(runs.var(ddof=1) / count_of_runs, count_of_runs - 1))
    # a variance of 200 resamples has a standard error of a tenth, and its root of a twentieth
    assert MAP_RESAMPLES == 200
    assert result.high - result.value == pytest.approx(half_width(parts), rel=0.2)
    assert result.value - result.low == pytest.approx(result.high - result.value)


def test_map_difference_to_itself_is_nothing_even_where_a_resample_has_no_label() -> None:
    labels = np.array([[1, 0], [0, 0], [0, 0]], np.uint8)
    scores = [np.array([[0.5, 0.1], [0.7, 0.2], [0.1, 0.3]])]
    result = map_difference(scores, scores, labels)
    assert (result.value, result.low, result.high, result.p) == (0, 0, 0, 1) and math.isnan(result.std)
    assert (result.seeds, result.share_of_runs, result.groups) == (1, 0, 3)


def test_map_difference_refuses_what_has_no_value() -> None:
    scores, labels = np.zeros((3, 2)), np.zeros((3, 2), np.uint8)
    with pytest.raises(ValueError, match="no video has a label"):
        map_difference([scores], [scores], labels)
    with pytest.raises(ValueError, match="as many runs of both, at least one, got 1 and 2"):
        map_difference([scores], [scores, scores], labels)
    with pytest.raises(ValueError, match="got 0 and 0"):
        map_difference([], [], labels)
