"""MARS and D3D by hand, and all terms of the losses against NumPy and SciPy (MML, equations 1 to 6, Appendix B)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from torch import Tensor

from mml_core.config.objectives import CrossEntropyConfig, D3dConfig, MarsConfig, MutualConfig
from mml_core.networks import Prediction
from mml_core.objectives import build_objective

TEACHER = Prediction(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]]))
#: Differences to the teacher: features 3, 0, 0 and 0, 3, 0; logits 1, 0 and 0, 1.
STUDENT = Prediction(torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[4.0, 2.0, 3.0], [0.0, 3.0, 1.0]]))
LABELS = torch.tensor([0, 1])
#: Cross-entropy of the student: log(1 + e^-2) and log(1 + e^-3), their mean.
CROSS_ENTROPY = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-3))) / 2


def test_mars_by_hand() -> None:
    """50 times the mean square over batch and features: (9 + 9) / 6 = 3."""
    result = build_objective(MarsConfig(), multi_label=False)([STUDENT], LABELS, [TEACHER])
    assert result.parts[0]["distillation"].item() == pytest.approx(150.0)
    assert result.parts[0]["cross_entropy"].item() == pytest.approx(CROSS_ENTROPY)
    assert result.totals[0].item() == pytest.approx(150.0 + CROSS_ENTROPY)


def test_d3d_by_hand() -> None:
    """Once the mean square over batch and logits: (1 + 1) / 4."""
    result = build_objective(D3dConfig(), multi_label=False)([STUDENT], LABELS, [TEACHER])
    assert result.parts[0]["distillation"].item() == pytest.approx(0.5)
    assert result.totals[0].item() == pytest.approx(0.5 + CROSS_ENTROPY)


@pytest.mark.parametrize(("config", "single"), [(MarsConfig(), 150.0), (D3dConfig(), 0.5), (D3dConfig(weight=3), 1.5)])
def test_with_several_labels_the_distance_is_divided_by_the_number_of_classes(
    config: MarsConfig | D3dConfig, single: float
) -> None:
    """Appendix B: as the classification loss, which then is divided by B * N and not by B."""
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    result = build_objective(config, multi_label=True)([STUDENT], labels, [TEACHER])
    assert result.parts[0]["distillation"].item() == pytest.approx(single / 2)
    expected = -np.mean([special.log_expit(2), math.log(0.5), math.log(0.5), special.log_expit(3)])
    assert result.parts[0]["cross_entropy"].item() == pytest.approx(expected)


@pytest.mark.parametrize("config", [MarsConfig(), D3dConfig()])
def test_only_the_student_learns(config: MarsConfig | D3dConfig) -> None:
    student, teacher = (Prediction(*(t.clone().requires_grad_() for t in p)) for p in (STUDENT, TEACHER))
    build_objective(config, multi_label=False)([student], LABELS, [teacher]).totals[0].backward()
    assert teacher.logits.grad is None and teacher.features.grad is None
    assert student.logits.grad is not None
    assert (student.features.grad is not None) == (config.kind == "mars")


def test_a_teacher_is_needed_and_must_fit() -> None:
    objective = build_objective(MarsConfig(), multi_label=False)
    with pytest.raises(ValueError, match="one teacher, got 0"):
        objective([STUDENT], LABELS)
    with pytest.raises(ValueError, match=r"features: student \(2, 3\), teacher \(2, 4\)"):
        objective([STUDENT], LABELS, [Prediction(TEACHER.logits, torch.zeros(2, 4))])


def test_float16_predictions_are_compared_in_float32() -> None:
    half = [Prediction(*(t.half() * 100 for t in p)) for p in (STUDENT, TEACHER)]
    result = build_objective(MarsConfig(weight=1), multi_label=False)(half[:1], LABELS, half[1:])
    assert result.parts[0]["distillation"].item() == pytest.approx(30_000.0)  # 3 * 100^2; a sum of 180,000 overflows


BATCHES = st.tuples(st.integers(1, 6), st.integers(2, 7), st.integers(2, 3), st.integers(0, 2**31))


def made(networks: int, shape: tuple[int, int], seed: int) -> list[Tensor]:
    return list(torch.from_numpy(np.random.default_rng(seed).normal(scale=3, size=(networks, *shape))))


@given(BATCHES)
def test_mutual_learning_agrees_with_scipy(batch: tuple[int, int, int, int]) -> None:
    """Equations 1 to 5 for two and three networks, term by term."""
    videos, classes, networks, seed = batch
    logits = made(networks, (videos, classes), seed)
    labels = np.random.default_rng(seed).integers(classes, size=videos)
    result = build_objective(MutualConfig(), multi_label=False)(
        [Prediction(each, each) for each in logits], torch.from_numpy(labels)
    )
    p = special.softmax(np.stack([each.numpy() for each in logits]), axis=-1)  # (M, B, N)
    for i in range(networks):
        target = np.delete(p, i, axis=0).sum(axis=0) / (networks - 1)
        divergence = special.rel_entr(target, p[i]).sum() / videos
        cross_entropy = -np.log(p[i][np.arange(videos), labels]).sum() / videos
        assert result.totals[i].item() == pytest.approx(cross_entropy + divergence)
        assert result.parts[i]["divergence"].item() == pytest.approx(divergence, abs=1e-12)


@given(BATCHES)
def test_mutual_learning_with_several_labels_agrees_with_scipy(batch: tuple[int, int, int, int]) -> None:
    """Equation 6 and Appendix B: every term is divided by B * N."""
    videos, classes, networks, seed = batch
    logits = made(networks, (videos, classes), seed)
    labels = np.random.default_rng(seed).integers(2, size=(videos, classes)).astype(np.float64)
    result = build_objective(MutualConfig(), multi_label=True)(
        [Prediction(each, each) for each in logits], torch.from_numpy(labels)
    )
    p = special.expit(np.stack([each.numpy() for each in logits]))  # (M, B, N)
    for i in range(networks):
        target = np.delete(p, i, axis=0).mean(axis=0)
        divergence = special.rel_entr(target, p[i]).sum() + special.rel_entr(1 - target, 1 - p[i]).sum()
        cross_entropy = -(special.xlogy(labels, p[i]) + special.xlog1py(1 - labels, -p[i])).sum()
        total = (cross_entropy + divergence) / (videos * classes)
        assert result.totals[i].item() == pytest.approx(total, rel=1e-6)


@given(BATCHES, st.booleans())
def test_distillation_agrees_with_numpy(batch: tuple[int, int, int, int], multi_label: bool) -> None:
    videos, classes, students, seed = batch
    logits, features = made(students + 1, (videos, classes), seed), made(students + 1, (videos, 5), seed + 1)
    *taught, teacher = map(Prediction, logits, features)
    labels = torch.zeros((videos, classes)) if multi_label else torch.zeros(videos, dtype=torch.int64)
    divisor = classes if multi_label else 1
    for config, values, weight in ((MarsConfig(), features, 50), (D3dConfig(), logits, 1)):
        result = build_objective(config, multi_label=multi_label)(taught, labels, [teacher])
        alone = build_objective(CrossEntropyConfig(), multi_label=multi_label)(taught, labels)
        for i in range(students):
            distance = ((values[i] - values[-1]).numpy() ** 2).mean()
            expected = alone.totals[i].item() + weight * distance / divisor
            assert result.totals[i].item() == pytest.approx(expected)
