"""Uncertainty of means over runs and videos, against resampling done the plain way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from mml_core.evaluation import uncertainty
from mml_core.evaluation.uncertainty import estimate, paired_difference

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 30))
VERDICTS = SHAPES.flatmap(lambda shape: arrays.arrays(np.int8, shape, elements=st.integers(0, 1)))


def resampled_plainly(values: np.ndarray, resamples: int, *, runs_too: bool = True) -> np.ndarray:
    """Draw runs and videos with replacement, independently, and take the mean of the cells where they meet."""
    rng = np.random.default_rng(7)
    runs, videos = values.shape
    means = []
    for _ in range(resamples):
        chosen = rng.integers(runs, size=runs) if runs_too else np.arange(runs)
        means.append(values[np.ix_(chosen, rng.integers(videos, size=videos))].mean())
    return np.array(means)


def verdicts(runs: int, videos: int, *, of_run: float = 0.05, seed: int = 0) -> np.ndarray:
    """Make runs that are right about a video with a probability of the video and of the run."""
    rng = np.random.default_rng(seed)
    skill, ease = rng.normal(scale=of_run, size=(runs, 1)), rng.normal(0.6, 0.3, size=(1, videos))
    return (rng.random((runs, videos)) < ease + skill).astype(np.float64)


def test_mean_and_deviation_by_hand() -> None:
    result = estimate(np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]]))
    assert result.value == 0.5  # 6 of 12
    assert result.std == 0.25  # of 0.5, 0.25, 0.75
    assert result.seeds == 3


@pytest.mark.parametrize("runs", [2, 3, 6])
@pytest.mark.parametrize("kind", ["verdicts", "numbers"])
def test_interval_agrees_with_plain_resampling(runs: int, kind: str) -> None:
    values = verdicts(runs, 200)
    if kind == "numbers":  # all columns differ
        values = values + np.random.default_rng(1).normal(size=values.shape)
    plain = resampled_plainly(values, 20_000)
    result = estimate(values)
    tolerance = 0.2 * plain.std()  # the quantiles of 2,000 resamples have a standard error of 0.06 deviations
    assert result.value == pytest.approx(values.mean())
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(plain, (0.025, 0.975))), abs=tolerance)


def test_with_one_run_only_videos_are_resampled() -> None:
    values = verdicts(1, 400)
    reference = stats.bootstrap(
        (values[0],), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    result = estimate(values)
    assert math.isnan(result.std) and result.seeds == 1
    assert result.value == values.mean()
    assert result.low == pytest.approx(reference.low, abs=0.008)  # spread of the quantiles of 2,000 resamples: 0.003
    assert result.high == pytest.approx(reference.high, abs=0.008)


def test_interval_covers_the_true_share_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [estimate(rng.random((1, 300)) < 0.6) for _ in range(400)]
    covered = np.mean([result.low <= 0.6 <= result.high for result in intervals])
    assert 0.91 <= covered <= 0.98


def test_runs_widen_the_interval_where_they_differ() -> None:
    values = verdicts(5, 2000, of_run=0.2)
    crossed, videos_only = estimate(values), resampled_plainly(values, 2000, runs_too=False)
    assert crossed.high - crossed.low > 3 * np.ptp(np.quantile(videos_only, (0.025, 0.975)))


@pytest.mark.parametrize(("runs", "videos"), [(2, 5), (3, 12), (6, 6)])
def test_variance_of_resampled_means_is_as_the_module_says(runs: int, videos: int) -> None:
    """The factors of the three parts, in expectation over data with variances r, v and e of the parts."""
    rng, r, v, e = np.random.default_rng(runs), 0.5, 2.0, 3.0
    variances = []
    for _ in range(1000):
        parts = (
            rng.normal(scale=math.sqrt(r), size=(runs, 1)),
            rng.normal(scale=math.sqrt(v), size=(1, videos)),
            rng.normal(scale=math.sqrt(e), size=(runs, videos)),
        )
        variances.append(uncertainty._resampled_means(sum(parts)).var())
    left_runs, left_videos = 1 - 1 / runs, 1 - 1 / videos
    own = left_runs + left_videos + left_runs * left_videos
    expected = left_runs * r / runs + left_videos * v / videos + own * e / (runs * videos)
    assert np.mean(variances) == pytest.approx(expected, rel=0.08)


@given(VERDICTS)
def test_mean_is_exact_and_inside_its_interval(values: np.ndarray) -> None:
    result = estimate(values)
    assert result.value == int(values.sum()) / values.size
    assert 0 <= result.low <= result.value <= result.high <= 1


@given(VERDICTS, st.randoms(use_true_random=False))
def test_order_of_videos_does_not_matter(values: np.ndarray, random: object) -> None:
    order = list(range(values.shape[1]))
    random.shuffle(order)
    np.testing.assert_equal(estimate(values[:, order]), estimate(values))


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3.7])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (4, 1), (3, 50)])
def test_equal_values_have_no_interval(value: float, shape: tuple[int, int]) -> None:
    result = estimate(np.full(shape, value))
    assert (result.value, result.low, result.high) == pytest.approx((value, value, value))
    assert (math.isnan(result.std) if shape[0] == 1 else result.std == pytest.approx(0)) and result.seeds == shape[0]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = verdicts(4, 100)
    whole = estimate(values)
    monkeypatch.setattr(uncertainty, "CHUNK", 100)
    assert estimate(values) == whole


def test_difference_by_hand() -> None:
    better, worse = np.array([[1, 1, 1, 0], [1, 0, 1, 0]]), np.array([[1, 0, 0, 0], [1, 1, 1, 0]])
    result = paired_difference(better, worse)
    assert result.value == 1 / 8  # 2 of 4 more, 1 of 4 less
    assert result.std == pytest.approx(np.std([0.5, -0.25], ddof=1))
    assert result.seeds == 2
    assert result.low <= -0.25 and result.high >= 0.5  # at least from one run to the other


@given(VERDICTS)
def test_difference_to_itself_is_nothing(values: np.ndarray) -> None:
    result = paired_difference(values, values)
    assert (result.value, result.low, result.high) == (0, 0, 0)


def test_difference_is_that_of_the_paired_cells() -> None:
    better, worse = verdicts(3, 300, seed=1), verdicts(3, 300, seed=2)
    assert paired_difference(better, worse) == estimate(better - worse)
    assert paired_difference(better.astype(bool), worse.astype(bool)) == estimate(better - worse)


def test_pairing_narrows_the_interval_where_systems_agree() -> None:
    worse = verdicts(3, 1000)
    better = np.maximum(worse, np.random.default_rng(0).random(worse.shape) < 0.05)
    paired, alone = paired_difference(better, worse), estimate(better)
    assert paired.low > 0
    assert paired.high - paired.low < (alone.high - alone.low) / 2


@pytest.mark.parametrize(
    "values", [np.zeros(3), np.zeros((0, 4)), np.zeros((2, 0)), np.array([[0.0, np.nan]]), np.array([[np.inf]])]
)
def test_what_is_no_table_of_numbers_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        estimate(values)


def test_other_runs_or_videos_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got shapes \(2, 3\) and \(1, 3\)"):
        paired_difference(np.zeros((2, 3)), np.zeros((1, 3)))


def resampled_groups(values: np.ndarray, groups: np.ndarray, resamples: int) -> np.ndarray:
    """Draw runs, and groups with all their videos, and take the mean of the cells that are there then."""
    rng, found = np.random.default_rng(7), np.unique(groups)
    means = []
    for _ in range(resamples):
        runs = rng.integers(len(values), size=len(values))
        videos = np.concatenate([np.flatnonzero(groups == one) for one in rng.choice(found, size=len(found))])
        means.append(values[np.ix_(runs, videos)].mean())
    return np.array(means)


@pytest.mark.parametrize("runs", [1, 3])
def test_groups_are_resampled_as_a_whole(runs: int) -> None:
    rng = np.random.default_rng(runs)
    sizes = rng.integers(1, 12, size=40)
    groups = rng.permutation(np.repeat(np.arange(40), sizes))
    values = (rng.random((runs, len(groups))) < rng.uniform(0.2, 1, size=40)[groups]).astype(np.float64)
    result, alone = estimate(values, groups), estimate(values)
    plain = resampled_groups(values, groups, 3000)
    assert result.value == values.mean() and result.seeds == runs
    np.testing.assert_equal(result.std, alone.std)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(plain, (0.025, 0.975))), abs=0.2 * plain.std())
    if runs == 1:
        assert result.high - result.low > 1.3 * (alone.high - alone.low), "videos of a group are right together"


@given(VERDICTS)
def test_a_group_a_video_is_as_no_groups(values: np.ndarray) -> None:
    groups = np.arange(values.shape[1])
    assert values.shape[1] == 1 or estimate(values, groups)[2:] == estimate(values)[2:]


def test_of_one_group_no_interval_is_known() -> None:
    result = estimate(verdicts(3, 20), np.zeros(20, np.int64))
    assert math.isnan(result.low) and math.isnan(result.high) and result.value == verdicts(3, 20).mean()
    assert math.isnan(paired_difference(verdicts(3, 20), verdicts(3, 20, seed=1), np.zeros(20, np.int64)).low)
