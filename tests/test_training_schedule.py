"""Learning rate over time, against values worked out by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mml_core.config.learning import ScheduleConfig
from mml_core.training.schedule import Plateau, learning_rate_factor


def factors(epochs: int, at: list[float], **settings: Any) -> list[float]:
    schedule = ScheduleConfig(**settings)
    return [learning_rate_factor(schedule, epoch, epochs) for epoch in at]


def test_steps_fall_at_the_milestones_of_tsm() -> None:
    at = [0, 19.999, 20, 39.5, 40, 49.99]
    assert factors(50, at) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_steps_in_any_order_with_another_factor() -> None:
    assert factors(10, [0, 2, 5, 9], milestones=(5, 2), factor=0.5) == [1, 0.5, 0.25, 0.25]


def test_no_milestones() -> None:
    assert factors(10, [0, 5, 10], milestones=()) == [1, 1, 1]


def test_a_milestone_at_the_start() -> None:
    assert factors(10, [0], milestones=(0,)) == pytest.approx([0.1])


def test_cosine_by_hand() -> None:
    # half a period over 12 epochs: cos 0, 60, 90, 120 and 180 degrees
    assert factors(12, [0, 4, 6, 8, 12], kind="cosine") == pytest.approx([1, 0.75, 0.5, 0.25, 0])


def test_warm_up_by_hand() -> None:
    at = [0, 1, 2.5, 4, 5, 6]
    assert factors(50, at, warmup_epochs=5) == pytest.approx([0.1, 0.28, 0.55, 0.82, 1, 1])
    assert factors(50, at, warmup_epochs=5, warmup_start=0.0) == pytest.approx([0, 0.2, 0.5, 0.8, 1, 1])


def test_warm_up_within_the_first_epoch() -> None:
    assert factors(50, [0, 0.25, 0.5, 1], warmup_epochs=0.5) == pytest.approx([0.1, 0.55, 1, 1])


def test_warm_up_multiplies_what_lies_below() -> None:
    cosine = factors(12, [2, 4], kind="cosine", warmup_epochs=4, warmup_start=0.0)
    assert cosine == pytest.approx([0.5 * 0.5 * (1 + math.cos(math.pi / 6)), 0.75])
    step = factors(12, [2, 4], milestones=(1,), warmup_epochs=4, warmup_start=0.0)
    assert step == pytest.approx([0.05, 0.1])


@given(
    kind=st.sampled_from(["step", "cosine"]),
    epochs=st.integers(1, 100),
    share=st.floats(0, 1),
    warmup=st.floats(0, 20),
    start=st.floats(0, 1),
)
def test_factor_stays_within_its_range(kind: str, epochs: int, share: float, warmup: float, start: float) -> None:
    (factor,) = factors(epochs, [share * epochs], kind=kind, warmup_epochs=warmup, warmup_start=start)
    assert 0 <= factor <= 1


VALUES = st.one_of(
    st.floats(-10, 10, allow_nan=False),
    st.sampled_from(
        [0.0, -0.0, 1.0, 1.0001, 0.9999, 0.99989, -1.0, -1.0001, 1e-12, 100.0, math.inf, -math.inf, math.nan]
    ),
)


@given(
    values=st.lists(VALUES, max_size=40),
    monitor=st.sampled_from(["validation_loss", "validation_accuracy"]),
    patience=st.integers(0, 4),
    factor=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_plateaus_are_torchs(values: list[float], monitor: str, patience: int, factor: float) -> None:
    """Step by step, for losses (min) and accuracies (max), negative and zero and infinite ones, and none at all."""
    schedule = ScheduleConfig(kind="plateau", monitor=monitor, patience=patience, factor=factor)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    mode = "min" if monitor == "validation_loss" else "max"
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=factor, patience=patience, eps=0)
    ours = Plateau()
    for value in values:
        torchs.step(value)
        ours = Plateau(*json.loads(json.dumps(ours.after(value, schedule))))  # as the state of a training keeps it
        assert ours.factor == optimizer.param_groups[0]["lr"]
        assert ours.waited == torchs.num_bad_epochs


def test_plateaus_leave_the_rest_of_the_schedule_alone() -> None:
    assert factors(10, [0, 5, 10], kind="plateau") == [1, 1, 1]
    assert factors(10, [0, 1, 2], kind="plateau", warmup_epochs=2, warmup_start=0.0) == [0, 0.5, 1]
