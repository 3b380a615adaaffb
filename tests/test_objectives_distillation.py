"""MARS and D3D by hand, and all terms of the losses against NumPy and SciPy (MML, equations 1 to 6, Appendix B)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from torch import Tensor

from mml_core.config.networks import ResNetNetwork
from mml_core.config.objectives import CrossEntropyConfig, D3dConfig, MarsConfig, MersConfig, MutualConfig
from mml_core.networks import ClipShape, Prediction, build_network
from mml_core.objectives import build_objective
from mml_core.training.sums import total

TEACHER = Prediction(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]]))
#: Differences to the teacher: features 3, 0, 0 and 0, 3, 0; logits 1, 0 and 0, 1.
STUDENT = Prediction(torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[4.0, 2.0, 3.0], [0.0, 3.0, 1.0]]))
LABELS = torch.tensor([0, 1])
#: Cross-entropy of the student: log(1 + e^-2) and log(1 + e^-3), their mean.
CROSS_ENTROPY = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-3))) / 2


def taught(
    config: Any, student: Prediction, labels: Tensor, teacher: Prediction, *, multi_label: bool = False
) -> dict[str, Tensor]:
    """Return the terms of one student of one teacher."""
    return build_objective(config, multi_label=multi_label)({"s": student}, labels, {"t": teacher})["s"]


def test_mars_by_hand() -> None:
    """50 times the mean square over batch and features: (9 + 9) / 6 = 3."""
    terms = taught(MarsConfig(), STUDENT, LABELS, TEACHER)
    assert terms["distillation"].item() == pytest.approx(150.0)
    assert terms["cross_entropy"].item() == pytest.approx(CROSS_ENTROPY)
    assert total(terms).item() == pytest.approx(150.0 + CROSS_ENTROPY)


def test_d3d_by_hand() -> None:
    """Once the mean square over batch and logits: (1 + 1) / 4."""
    terms = taught(D3dConfig(), STUDENT, LABELS, TEACHER)
    assert terms["distillation"].item() == pytest.approx(0.5)
    assert total(terms).item() == pytest.approx(0.5 + CROSS_ENTROPY)


@pytest.mark.parametrize(("config", "single"), [(MarsConfig(), 150.0), (D3dConfig(), 0.5), (D3dConfig(weight=3), 1.5)])
def test_with_several_labels_the_distance_is_divided_by_the_number_of_classes(
    config: MarsConfig | D3dConfig, single: float
) -> None:
    """Appendix B: as the classification loss, which then is divided by B * N and not by B."""
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    terms = taught(config, STUDENT, labels, TEACHER, multi_label=True)
    assert terms["distillation"].item() == pytest.approx(single / 2)
    expected = -np.mean([special.log_expit(2), math.log(0.5), math.log(0.5), special.log_expit(3)])
    assert terms["cross_entropy"].item() == pytest.approx(expected)


@pytest.mark.parametrize("config", [MarsConfig(), D3dConfig()])
def test_only_the_student_learns(config: MarsConfig | D3dConfig) -> None:
    student, teacher = (
        Prediction(*(t.clone().requires_grad_() for t in (p.logits, p.features))) for p in (STUDENT, TEACHER)
    )
    total(taught(config, student, LABELS, teacher)).backward()
    assert teacher.logits.grad is None and teacher.features.grad is None
    assert student.logits.grad is not None
    assert (student.features.grad is not None) == (config.kind == "mars")


def test_a_teacher_is_needed_and_must_fit() -> None:
    objective = build_objective(MarsConfig(), multi_label=False)
    with pytest.raises(ValueError, match="one teacher, got 0"):
        objective({"s": STUDENT}, LABELS, {})
    with pytest.raises(ValueError, match="one teacher, got 2"):
        objective({"s": STUDENT}, LABELS, {"t": TEACHER, "u": TEACHER})
    with pytest.raises(ValueError, match=r"pooled: student \(2, 3\), teacher \(2, 4\)"):
        objective({"s": STUDENT}, LABELS, {"t": Prediction(TEACHER.logits, torch.zeros(2, 4))})


def test_float16_predictions_are_compared_in_float32() -> None:
    half = [Prediction(p.logits.half() * 100, p.features.half() * 100) for p in (STUDENT, TEACHER)]
    terms = taught(MarsConfig(weight=1), half[0], LABELS, half[1])
    assert terms["distillation"].item() == pytest.approx(30_000.0)  # 3 * 100^2; a sum of 180,000 overflows


BATCHES = st.tuples(st.integers(1, 6), st.integers(2, 7), st.integers(2, 3), st.integers(0, 2**31))


def made(networks: int, shape: tuple[int, int], seed: int) -> list[Tensor]:
    return list(torch.from_numpy(np.random.default_rng(seed).normal(scale=3, size=(networks, *shape))))


def named(logits: list[Tensor], features: list[Tensor] | None = None) -> dict[str, Prediction]:
    pairs = zip(logits, features or logits, strict=True)
    return {f"n{i}": Prediction(*pair) for i, pair in enumerate(pairs)}


@given(BATCHES)
def test_mutual_learning_agrees_with_scipy(batch: tuple[int, int, int, int]) -> None:
    """Equations 1 to 5 for two and three networks, term by term."""
    videos, classes, networks, seed = batch
    logits = made(networks, (videos, classes), seed)
    labels = np.random.default_rng(seed).integers(classes, size=videos)
    result = build_objective(MutualConfig(), multi_label=False)(named(logits), torch.from_numpy(labels), {})
    p = special.softmax(np.stack([each.numpy() for each in logits]), axis=-1)  # (M, B, N)
    for i in range(networks):
        target = np.delete(p, i, axis=0).sum(axis=0) / (networks - 1)
        divergence = special.rel_entr(target, p[i]).sum() / videos
        cross_entropy = -np.log(p[i][np.arange(videos), labels]).sum() / videos
        assert total(result[f"n{i}"]).item() == pytest.approx(cross_entropy + divergence)
        assert result[f"n{i}"]["divergence"].item() == pytest.approx(divergence, abs=1e-12)


@given(BATCHES)
def test_mutual_learning_with_several_labels_agrees_with_scipy(batch: tuple[int, int, int, int]) -> None:
    """Equation 6 and Appendix B: every term is divided by B * N."""
    videos, classes, networks, seed = batch
    logits = made(networks, (videos, classes), seed)
    labels = np.random.default_rng(seed).integers(2, size=(videos, classes)).astype(np.float64)
    result = build_objective(MutualConfig(), multi_label=True)(named(logits), torch.from_numpy(labels), {})
    p = special.expit(np.stack([each.numpy() for each in logits]))  # (M, B, N)
    for i in range(networks):
        target = np.delete(p, i, axis=0).mean(axis=0)
        divergence = special.rel_entr(target, p[i]).sum() + special.rel_entr(1 - target, 1 - p[i]).sum()
        cross_entropy = -(special.xlogy(labels, p[i]) + special.xlog1py(1 - labels, -p[i])).sum()
        expected = (cross_entropy + divergence) / (videos * classes)
        assert total(result[f"n{i}"]).item() == pytest.approx(expected, rel=1e-6)


@given(BATCHES, st.booleans(), st.sampled_from(["mean", "sum"]))
def test_distillation_agrees_with_numpy(
    batch: tuple[int, int, int, int], multi_label: bool, reduction: Literal["mean", "sum"]
) -> None:
    """The squared distance of an example is the mean or the sum over its elements; over examples it is the mean."""
    videos, classes, students, seed = batch
    logits, features = made(students + 1, (videos, classes), seed), made(students + 1, (videos, 5), seed + 1)
    *names, last = said = named(logits, features)
    labels = torch.zeros((videos, classes)) if multi_label else torch.zeros(videos, dtype=torch.int64)
    divisor = classes if multi_label else 1
    student, teacher = {name: said[name] for name in names}, {"t": said[last]}
    configs = (MarsConfig(reduction=reduction), features, 50), (D3dConfig(reduction=reduction), logits, 1)
    alone = build_objective(CrossEntropyConfig(), multi_label=multi_label)(student, labels, {})
    for config, values, weight in configs:
        result = build_objective(config, multi_label=multi_label)(student, labels, teacher)
        for i, name in enumerate(names):
            squares = (values[i] - values[-1]).numpy() ** 2
            distance = (squares.mean(axis=1) if reduction == "mean" else squares.sum(axis=1)).mean()
            expected = total(alone[name]).item() + weight * distance / divisor
            assert total(result[name]).item() == pytest.approx(expected)


@given(st.integers(0, 2**31), st.booleans(), st.sampled_from(["mean", "sum"]))
def test_mars_at_an_inner_block_agrees_with_numpy(seed: int, three_d: bool, reduction: Literal["mean", "sum"]) -> None:
    """Maps of 2-D networks are (B, S * T, C, H, W), those of 3-D ones (B, S, C, T, H, W); both are pooled to (B, C)."""
    shape, over = ((3, 2, 5, 4, 2, 3), (1, 3, 4, 5)) if three_d else ((3, 4, 5, 2, 3), (1, 3, 4))
    student, teacher = (
        STUDENT._replace(logits=torch.zeros(3, 2), maps={"layer3": maps, "layer2": maps * 7})
        for maps in made(2, shape, seed)
    )
    config = MarsConfig(features="layer3", weight=4, reduction=reduction)
    terms = taught(config, student, torch.zeros(3, dtype=torch.int64), teacher)
    a, b = (one.maps["layer3"].numpy().mean(axis=over) for one in (student, teacher))
    assert a.shape == (3, 5)
    distance = (a - b) ** 2
    expected = 4 * (distance.mean() if reduction == "mean" else distance.sum(axis=1).mean())
    assert terms["distillation"].item() == pytest.approx(expected)


def test_mers_is_the_distance_alone() -> None:
    terms = taught(MersConfig(), STUDENT, LABELS, TEACHER)
    assert {name: value.item() for name, value in terms.items()} == {"distillation": pytest.approx(150.0)}


def test_mers_in_a_single_step_teaches_the_classifier_and_leaves_the_body_to_the_distance() -> None:
    """As the authors' code: two losses in a step, of which the cross-entropy reaches the classifier only."""
    block = ResNetNetwork(modality="rgb", init="random", backbone="resnet_tiny", dropout=0)
    network = build_network(block, ClipShape(4, {"rgb": 3}), classes=5)
    objective = MersConfig(joint=True)
    network.kept, network.detached = objective.maps, objective.detached_classifiers
    clips = torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    teacher = Prediction(torch.zeros(2, 5), torch.ones(2, network.fc.in_features))

    def gradients(*names: str) -> dict[str, Tensor]:
        network.zero_grad(set_to_none=True)
        terms = taught(objective, network(clips), torch.tensor([0, 3]), teacher)
        assert list(terms) == ["cross_entropy", "distillation"]
        sum(terms[name] for name in names).backward()
        return {name: one.grad for name, one in network.named_parameters() if one.grad is not None}

    together, classified, distance = (
        gradients("cross_entropy", "distillation"),
        gradients("cross_entropy"),
        gradients("distillation"),
    )
    assert set(classified) == {"fc.weight", "fc.bias"}
    assert set(distance) == {name for name, _ in network.named_parameters()} - set(classified)
    assert set(together) == set(classified) | set(distance)
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, {**classified, **distance}[name])


@pytest.mark.parametrize(
    "config", [MarsConfig(features="layer3"), MersConfig(joint=True), MersConfig(features="layer3")]
)
def test_no_gradient_reaches_the_teacher(config: MarsConfig | MersConfig) -> None:
    def grown(one: Prediction) -> Prediction:
        maps = {"layer3": torch.randn(2, 2, 3, 1, 1, requires_grad=True)}
        return Prediction(one.logits.clone().requires_grad_(), one.features.clone().requires_grad_(), maps)

    student, teacher = grown(STUDENT), grown(TEACHER)
    total(taught(config, student, LABELS, teacher)).backward()
    assert all(one.grad is None for one in (teacher.logits, teacher.features, teacher.maps["layer3"]))
    compared = student.maps["layer3"] if config.maps else student.features
    assert compared.grad is not None and compared.grad.abs().sum() > 0
