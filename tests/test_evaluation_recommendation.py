"""Which row to take, against cases that were made by hand, and how often the best row is lost by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.evaluation.differences import difference
from mml_core.evaluation.recommendation import Rated, best_of, choose_row

NAN = math.nan


def test_a_clear_winner_is_taken_although_it_costs_most() -> None:
    rows = [Rated(0.6, 1.0), Rated(0.9, 5.0), Rated(0.7, 2.0)]
    choice = choose_row(rows, [0.001, NAN, 0.002])
    assert (choice.best, choice.chosen) == (1, 1)
    assert choice.level == (False, True, False)
    assert choice.p[0] == pytest.approx(0.002) and choice.p[2] == pytest.approx(0.004) and math.isnan(choice.p[1])


def test_of_rows_that_cannot_be_told_apart_the_cheapest_is_taken() -> None:
    rows = [Rated(0.88, 1.0), Rated(0.90, 5.0), Rated(0.89, 3.0), Rated(0.3, 0.1)]
    choice = choose_row(rows, [0.3, NAN, 0.8, 1e-9])
    assert (choice.best, choice.chosen) == (1, 0)
    assert choice.level == (True, True, True, False)


def test_what_was_looked_at_counts() -> None:
    """A difference that would be real alone is not among ten: 0.01 times 9 is above 0.05."""
    two = [Rated(0.9, 5.0), Rated(0.85, 1.0)]
    assert choose_row(two, [NAN, 0.01]).chosen == 0
    ten = [*two, *[Rated(0.1, 9.0)] * 8]
    assert choose_row(ten, [NAN, 0.01, *[1e-9] * 8]).chosen == 1


def test_equal_values_go_to_the_cheaper_and_equal_costs_to_the_better_and_then_to_the_first() -> None:
    assert best_of([Rated(0.9, 2.0), Rated(0.9, 1.0), Rated(0.9, 1.0)]) == 1
    rows = [Rated(0.7, 1.0), Rated(0.8, 1.0), Rated(0.8, 1.0)]
    assert choose_row(rows, [0.5, NAN, 1.0]).chosen == 1


def test_a_single_row_is_taken() -> None:
    choice = choose_row([Rated(0.2, 3.0)], [NAN])
    assert (choice.best, choice.chosen, choice.level) == (0, 0, (True,))


def test_where_nothing_is_known_nothing_is_told_apart() -> None:
    choice = choose_row([Rated(0.9, 2.0), Rated(0.1, 1.0)], [NAN, NAN])
    assert (choice.best, choice.chosen) == (0, 1)


def test_seeds_that_disagree_do_not_make_a_lead() -> None:
    """One seed is far better, the other two are a little worse: videos alone would make it a lead."""
    rng = np.random.default_rng(0)
    cheap = rng.random((3, 400)) < 0.7
    dear = cheap.copy()
    dear[0] |= rng.random(400) < 0.6
    pooled = difference(dear[:1], cheap[:1])
    together = difference(dear, cheap)
    rows = [Rated(float(cheap.mean()), 1.0), Rated(float(dear.mean()), 4.0)]
    assert choose_row(rows, [pooled.p, NAN]).chosen == 1, "by one seed it is better on these videos"
    assert choose_row(rows, [together.p, NAN]).chosen == 0


def test_a_lead_in_all_seeds_is_real() -> None:
    rng = np.random.default_rng(1)
    cheap = rng.random((3, 400)) < 0.6
    dear = cheap | (rng.random((3, 400)) < 0.7)
    rows = [Rated(float(cheap.mean()), 1.0), Rated(float(dear.mean()), 4.0)]
    assert choose_row(rows, [difference(dear, cheap).p, NAN]).chosen == 1


def test_the_truly_best_row_is_seldom_lost() -> None:
    """Of ten rows that are all alike but for the cost, the first is the best as well as any: it may be out in 5 %."""
    rng, lost, trials = np.random.default_rng(2), 0, 400
    for _ in range(trials):
        hits = rng.random((10, 1, 150)) < 0.8
        rows = [Rated(float(one.mean()), 1.0) for one in hits]
        best = best_of(rows)
        p_values = [NAN if place == best else difference(hits[best], one).p for place, one in enumerate(hits)]
        lost += not choose_row(rows, p_values).level[0]
    assert lost / trials <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_choice_is_never_dearer_than_the_best_and_never_told_apart(rows: list[tuple[float, float, float]]) -> None:
    rated = [Rated(value, gflops) for value, gflops, _ in rows]
    choice = choose_row(rated, [p for *_, p in rows])
    assert rated[choice.chosen].gflops <= rated[choice.best].gflops
    assert choice.level[choice.chosen] and choice.level[choice.best]
    assert all(rated[choice.chosen].gflops <= one.gflops for one, left in zip(rated, choice.level, strict=True) if left)
