"""Cross-entropy plus prices: each term by hand, and the penalty without a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mml_core.config.objectives.frugal import FrugalConfig
from mml_core.networks import Prediction
from mml_core.objectives.base import build_objective
from mml_core.objectives.frugal import is_right, price_of_use

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
TARGETS = torch.tensor([0, 0, 0])  # right, wrong, right
#: Two modalities in four segments: shares of use 1/2 and 1, 1 and 1, 0 and 1/4.
CHOICES = torch.tensor(
    [
        [[1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 1.0]],
        [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]],
        [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]],
    ]
)


def prediction(logits: Tensor = LOGITS, choices: Tensor = CHOICES) -> Prediction:
    return Prediction(logits, torch.zeros(len(logits), 4), choices=choices, options=("rgb", "flow"))


def terms(one: Prediction, targets: Tensor = TARGETS, *, multi_label: bool = False, **settings: object) -> dict:
    config = FrugalConfig(**{"kind": "frugal", "prices": {"rgb": 0.5, "flow": 0.8}, **settings})
    losses = build_objective(config, multi_label=multi_label)({"net": one}, targets, {})["net"]
    assert tuple(losses) == config.terms
    return losses


def test_terms_worked_out_by_hand() -> None:
    """rgb: 0.5 (1/4 + 0) / 3; flow: 0.8 (1 + 1/16) / 3; 10 for one wrong answer of three."""
    found = terms(prediction())
    expected = -(LOGITS[torch.arange(3), TARGETS] - LOGITS.exp().sum(dim=1).log()).mean()
    assert found["cross_entropy"].item() == pytest.approx(expected.item())
    assert found["price_rgb"].item() == pytest.approx(0.5 * 0.25 / 3)
    assert found["price_flow"].item() == pytest.approx(0.8 * (1 + 1 / 16) / 3)
    assert found["wrong"].item() == pytest.approx(10 / 3)


def test_price_is_the_square_of_the_share_of_segments_where_the_answer_is_right() -> None:
    assert price_of_use(CHOICES[:, :, 1], torch.tensor([1.0, 0.0, 1.0])).item() == pytest.approx((1 + 1 / 16) / 3)
    assert price_of_use(CHOICES[:, :, 1], torch.zeros(3)).item() == 0


def test_gradient_of_the_price_is_that_of_the_square_worked_out_by_hand() -> None:
    """d/du of right u^2 with u = mean over 4 segments: right 2 u / 4, over 3 clips, times the price."""
    choices = CHOICES.clone().requires_grad_(True)
    sum(value for name, value in terms(prediction(choices=choices)).items() if name != "cross_entropy").backward()
    slope = torch.tensor([[0.5 * 0.5, 0.8 * 1.0], [0.0, 0.0], [0.0, 0.8 * 0.25]]) * 2 / 4 / 3
    torch.testing.assert_close(choices.grad, slope[:, None].expand(3, 4, 2))


def test_the_penalty_of_wrong_answers_has_no_gradient_and_only_shifts_the_loss() -> None:
    gradients, losses = [], []
    for wrong in (0.0, 10.0):
        logits, choices = LOGITS.clone().requires_grad_(True), CHOICES.clone().requires_grad_(True)
        found = terms(prediction(logits, choices), wrong=wrong)
        assert not found["wrong"].requires_grad
        loss = sum(found.values())
        loss.backward()
        gradients.append((logits.grad, choices.grad))
        losses.append(loss.item())
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    assert losses[1] - losses[0] == pytest.approx(10 / 3)


def test_what_has_no_price_is_free() -> None:
    found = terms(prediction(), prices={"flow": 0.8})
    assert set(found) == {"cross_entropy", "price_flow", "wrong"}


def test_with_several_labels_the_best_class_is_right_where_it_is_one_of_them() -> None:
    targets = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert is_right(LOGITS, targets).tolist() == [1.0, 0.0, 0.0]
    assert is_right(LOGITS, TARGETS).tolist() == [1.0, 0.0, 1.0]
    found = terms(prediction(), targets, multi_label=True)
    assert found["price_rgb"].item() == pytest.approx(0.5 * 0.25 / 3)
    assert found["wrong"].item() == pytest.approx(20 / 3)


def test_prices_are_in_float32_in_mixed_precision_too() -> None:
    found = terms(prediction(LOGITS.half()))
    assert all(value.dtype == torch.float32 for value in found.values())
