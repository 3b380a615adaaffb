"""Objectives against values worked out by hand, analytic gradients and the limits of floating point."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mml_core.config.objectives import CrossEntropyConfig, MutualConfig
from mml_core.errors import InputError
from mml_core.networks import Prediction
from mml_core.objectives import Losses, build_objective
from mml_core.objectives.losses import kl_divergence, log_probabilities
from mml_core.training.sums import total

LOG3 = math.log(3.0)
CROSS_ENTROPY = CrossEntropyConfig()
MEAN_OF_PROBABILITIES = MutualConfig()
MEAN_OF_LOGITS = MutualConfig(target="logits")


def losses(
    config: CrossEntropyConfig | MutualConfig, logits: list[Tensor], targets: Tensor, *, multi_label: bool = False
) -> Losses:
    predictions = {f"n{i}": Prediction(each, torch.zeros(len(each), 1)) for i, each in enumerate(logits)}
    result = build_objective(config, multi_label=multi_label)(predictions, targets, {})
    assert list(result) == list(predictions), "losses are of the networks, in their order"
    return result


def totals(result: Losses) -> list[Tensor]:
    return [total(terms) for terms in result.values()]


def values(tensors: list[Tensor]) -> list[float]:
    return [tensor.item() for tensor in tensors]


def part(result: Losses, name: str) -> list[float]:
    return [terms[name].item() for terms in result.values()]


# Three networks on one video of class 1, with probabilities (1/4, 3/4), (1/2, 1/2) and (3/4, 1/4).
ONE_VIDEO = [torch.tensor([[0.0, LOG3]]), torch.tensor([[0.0, 0.0]]), torch.tensor([[LOG3, 0.0]])]
CLASS_1 = torch.tensor([1])


def test_cross_entropy_by_hand() -> None:
    result = losses(CROSS_ENTROPY, ONE_VIDEO, CLASS_1)
    # -log(3/4), -log(1/2), -log(1/4)
    assert values(totals(result)) == pytest.approx([0.28768207, 0.69314718, 1.38629436])
    assert part(result, "cross_entropy") == values(totals(result))
    assert [set(terms) for terms in result.values()] == [{"cross_entropy"}] * 3


@pytest.mark.parametrize("config", [MEAN_OF_PROBABILITIES, MEAN_OF_LOGITS])
def test_two_networks_by_hand(config: MutualConfig) -> None:
    """Equations 1 to 3. KL(p2||p1) = log(2)/2 + log(2/3)/2; KL(p1||p2) = log(1/2)/4 + 3 log(3/2)/4."""
    result = losses(config, ONE_VIDEO[:2], CLASS_1)
    assert part(result, "divergence") == pytest.approx([0.14384104, 0.13081204])
    assert part(result, "cross_entropy") == pytest.approx([0.28768207, 0.69314718])
    assert values(totals(result)) == pytest.approx([0.43152311, 0.82395922])


def test_three_networks_by_hand_with_the_mean_of_probabilities() -> None:
    """Equation 4. Targets: (5/8, 3/8), the mean of the outer two (1/2, 1/2), and (3/8, 5/8)."""
    result = losses(MEAN_OF_PROBABILITIES, ONE_VIDEO, CLASS_1)
    # 5/8 log(5/2) + 3/8 log(1/2); zero; 3/8 log(1/2) + 5/8 log(5/2)
    assert part(result, "divergence") == pytest.approx([0.31275152, 0.0, 0.31275152], abs=1e-6)
    assert values(totals(result)) == pytest.approx([0.60043359, 0.69314718, 1.69904588], abs=1e-6)


def test_three_networks_by_hand_with_the_mean_of_logits() -> None:
    """Targets: softmax of (log(3)/2, 0) is (r, 1)/(1 + r) with r = sqrt(3); (1/2, 1/2); (1, r)/(1 + r)."""
    result = losses(MEAN_OF_LOGITS, ONE_VIDEO, CLASS_1)
    # 0.63397460 log(4 * 0.63397460) + 0.36602540 log(4/3 * 0.36602540)
    assert part(result, "divergence") == pytest.approx([0.32736796, 0.0, 0.32736796], abs=1e-6)


def test_loss_is_the_mean_over_the_batch() -> None:
    twice = [torch.cat([logits, logits]) for logits in ONE_VIDEO]
    one = losses(MEAN_OF_PROBABILITIES, ONE_VIDEO, CLASS_1)
    two = losses(MEAN_OF_PROBABILITIES, twice, torch.tensor([1, 1]))
    assert values(totals(two)) == pytest.approx(values(totals(one)))
    mixed = losses(MEAN_OF_PROBABILITIES, twice, torch.tensor([1, 0]))
    other = losses(MEAN_OF_PROBABILITIES, ONE_VIDEO, torch.tensor([0]))
    means = [(a + b) / 2 for a, b in zip(values(totals(one)), values(totals(other)), strict=True)]
    assert values(totals(mixed)) == pytest.approx(means)


# Two networks on one video of two classes, with probabilities (3/4, 1/2) and (1/2, 1/4) that it has them.
SEVERAL_LABELS = [torch.tensor([[LOG3, 0.0]]), torch.tensor([[0.0, -LOG3]])]
FIRST_OF_TWO = torch.tensor([[1.0, 0.0]])


def test_several_labels_by_hand() -> None:
    """Appendix B: everything is divided by B * N."""
    result = losses(MEAN_OF_PROBABILITIES, SEVERAL_LABELS, FIRST_OF_TWO, multi_label=True)
    # (-log(3/4) - log(1/2)) / 2 and (-log(1/2) - log(3/4)) / 2
    assert part(result, "cross_entropy") == pytest.approx([0.49041463, 0.49041463])
    # class 0: KL(1/2||3/4) = 0.14384104, class 1: KL(1/4||1/2) = 0.13081204; and the other way about
    assert part(result, "divergence") == pytest.approx([0.13732654, 0.13732654])
    assert values(totals(result)) == pytest.approx([0.62774117, 0.62774117])


def test_several_labels_with_three_networks() -> None:
    """With (3/4, 1/2), (1/2, 1/4) and (1/4, 3/4): the third's target is (5/8, 3/8)."""
    logits = [*SEVERAL_LABELS, torch.tensor([[-LOG3, LOG3]])]
    result = losses(MEAN_OF_PROBABILITIES, logits, FIRST_OF_TWO, multi_label=True)
    # class 0: 5/8 log(5/2) + 3/8 log(1/2), class 1: 3/8 log(1/2) + 5/8 log(5/2)
    assert part(result, "divergence")[2] == pytest.approx(0.31275152, abs=1e-6)
    mean_of_logits = losses(MEAN_OF_LOGITS, logits, FIRST_OF_TWO, multi_label=True)
    # target sigmoid(+-log(3)/2) = r/(1 + r), 1/(1 + r)
    assert part(mean_of_logits, "divergence")[2] == pytest.approx(0.32736796, abs=1e-6)


def test_several_labels_may_be_given_as_integers() -> None:
    real = losses(MEAN_OF_PROBABILITIES, SEVERAL_LABELS, FIRST_OF_TWO, multi_label=True)
    whole = losses(MEAN_OF_PROBABILITIES, SEVERAL_LABELS, FIRST_OF_TWO.to(torch.uint8), multi_label=True)
    assert values(totals(real)) == values(totals(whole))


def random_case(
    networks: int, videos: int, classes: int, *, multi_label: bool, seed: int = 0, **options: Any
) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = [
        torch.randn(videos, classes, generator=generator, dtype=torch.float64, **options).mul_(3).requires_grad_()
        for _ in range(networks)
    ]
    if multi_label:
        return logits, torch.randint(2, (videos, classes), generator=generator).double()
    return logits, torch.randint(classes, (videos,), generator=generator)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("target", ["probabilities", "logits"])
@pytest.mark.parametrize("networks", [2, 3, 4])
def test_gradient_is_the_analytic_one(networks: int, target: str, multi_label: bool) -> None:
    """dL_i/dl_i = ((p_i - y) + (p_i - target_i)) / B, over B * N with several labels; targets carry no gradient."""
    logits, labels = random_case(networks, 5, 7, multi_label=multi_label)
    result = losses(MutualConfig(target=target), logits, labels, multi_label=multi_label)
    torch.stack(totals(result)).sum().backward()

    def probabilities(x: Tensor) -> Tensor:
        return x.sigmoid() if multi_label else x.softmax(dim=1)

    wanted = labels if multi_label else torch.nn.functional.one_hot(labels, 7)
    divisor = 5 * 7 if multi_label else 5
    for i, own in enumerate(logits):
        others = [other.detach() for j, other in enumerate(logits) if j != i]
        if target == "logits":
            mean = probabilities(sum(others) / len(others))
        else:
            mean = sum(probabilities(other) for other in others) / len(others)
        p = probabilities(own.detach())
        torch.testing.assert_close(own.grad, ((p - wanted) + (p - mean)) / divisor)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("config", [CROSS_ENTROPY, MEAN_OF_PROBABILITIES, MEAN_OF_LOGITS])
def test_gradient_agrees_with_finite_differences(config: CrossEntropyConfig | MutualConfig, multi_label: bool) -> None:
    """Each loss against its own network's logits; the others are constants to it."""
    logits, labels = random_case(3, 2, 3, multi_label=multi_label)
    for i in range(3):

        def own_loss(own: Tensor, i: int = i) -> Tensor:
            case = [own if j == i else other for j, other in enumerate(logits)]
            return totals(losses(config, case, labels, multi_label=multi_label))[i]

        assert torch.autograd.gradcheck(own_loss, logits[i])


def test_no_gradient_reaches_the_other_networks() -> None:
    logits, labels = random_case(3, 2, 4, multi_label=False)
    totals(losses(MEAN_OF_PROBABILITIES, logits, labels))[1].backward()
    assert logits[0].grad is None
    assert logits[1].grad is not None
    assert logits[2].grad is None


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 9), st.booleans())
def test_divergence_is_never_negative_and_zero_between_equals(
    seed: int, videos: int, classes: int, multi_label: bool
) -> None:
    logits, labels = random_case(3, videos, classes, multi_label=multi_label, seed=seed)
    for config in (MEAN_OF_PROBABILITIES, MEAN_OF_LOGITS):
        apart = losses(config, logits, labels, multi_label=multi_label)
        assert min(part(apart, "divergence")) > 0
        same = losses(config, [logits[0]] * 3, labels, multi_label=multi_label)
        assert part(same, "divergence") == pytest.approx([0.0] * 3, abs=1e-12)
        assert values(totals(same)) == pytest.approx(part(same, "cross_entropy"))


@given(st.integers(0, 10_000), st.booleans())
def test_both_targets_are_the_same_for_two_networks_only(seed: int, multi_label: bool) -> None:
    logits, labels = random_case(3, 4, 5, multi_label=multi_label, seed=seed)
    for count, same in ((2, True), (3, False)):
        by_probabilities, by_logits = (
            torch.stack(totals(losses(config, logits[:count], labels, multi_label=multi_label)))
            for config in (MEAN_OF_PROBABILITIES, MEAN_OF_LOGITS)
        )
        assert torch.allclose(by_probabilities, by_logits, rtol=1e-9) is same


def test_order_of_networks_is_kept() -> None:
    logits, labels = random_case(3, 4, 5, multi_label=False)
    forward = values(totals(losses(MEAN_OF_PROBABILITIES, logits, labels)))
    backward = values(totals(losses(MEAN_OF_PROBABILITIES, logits[::-1], labels)))
    assert forward == pytest.approx(backward[::-1])


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("config", [MEAN_OF_PROBABILITIES, MEAN_OF_LOGITS])
def test_extreme_logits_stay_finite(config: MutualConfig, multi_label: bool) -> None:
    logits = [torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([[-1e4, 1e4, 0.0]]), torch.tensor([[0.0, 0.0, 1e4]])]
    for each in logits:
        each.requires_grad_()
    labels = torch.tensor([[1.0, 0.0, 1.0]]) if multi_label else torch.tensor([1])
    result = losses(config, logits, labels, multi_label=multi_label)
    torch.stack(totals(result)).sum().backward()
    assert all(total.isfinite() for total in totals(result))
    assert all(each.grad.isfinite().all() for each in logits)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("config", [CROSS_ENTROPY, MEAN_OF_PROBABILITIES, MEAN_OF_LOGITS])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computed_in_float32_also_under_autocast(
    config: CrossEntropyConfig | MutualConfig, dtype: torch.dtype, multi_label: bool
) -> None:
    logits, labels = random_case(3, 4, 5, multi_label=multi_label)
    low = [each.detach().to(dtype).requires_grad_() for each in logits]
    exact = losses(config, [each.detach().double() for each in low], labels, multi_label=multi_label)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = losses(config, low, labels, multi_label=multi_label)
    assert all(total.dtype == torch.float32 for total in totals(result))
    assert values(totals(result)) == pytest.approx(values(totals(exact)), rel=1e-5)
    torch.stack(totals(result)).sum().backward()
    assert all(each.grad.dtype == dtype for each in low)


def test_terms_are_scalars_by_name_that_add_up_to_the_loss() -> None:
    logits, labels = random_case(2, 3, 4, multi_label=False)
    for terms in losses(MEAN_OF_PROBABILITIES, logits, labels).values():
        assert list(terms) == ["cross_entropy", "divergence"]
        assert all(value.requires_grad and value.shape == () for value in terms.values())
        assert total(terms).item() == pytest.approx(sum(values(list(terms.values()))))


@pytest.mark.parametrize("multi_label", [False, True])
def test_cross_entropies_of_heads_are_added(multi_label: bool) -> None:
    """Those that are named, and not the whole network's own."""
    logits, labels = random_case(4, 3, 5, multi_label=multi_label)
    own, *heads = (Prediction(each, each) for each in logits)
    said = {"net": own._replace(parts=dict(zip(("rgb", "flow", "sound"), heads, strict=True)))}

    def loss(*names: str) -> Tensor:
        objective = build_objective(CrossEntropyConfig(heads=names), multi_label=multi_label)
        return objective(said, labels, {})["net"]["cross_entropy"]

    alone = values(totals(losses(CROSS_ENTROPY, logits, labels, multi_label=multi_label)))
    assert loss().item() == pytest.approx(alone[0])
    assert loss("flow").item() == pytest.approx(alone[2])
    assert loss("rgb", "sound").item() == pytest.approx(alone[1] + alone[3])
    loss("rgb", "sound").backward()
    assert [each.grad is not None for each in logits] == [False, True, False, True]


class MissingConfig(CrossEntropyConfig):
    module = "mml_core.objectives.of_another_version"


def test_what_is_not_part_of_this_version_can_be_planned_with_only() -> None:
    with pytest.raises(InputError, match="objective of_another_version is not part of this version") as caught:
        build_objective(MissingConfig(), multi_label=False)
    assert "planned (-n) only" in str(caught.value)


def test_mutual_learning_alone_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least two networks, got 1"):
        losses(MEAN_OF_PROBABILITIES, ONE_VIDEO[:1], CLASS_1)


def test_log_probabilities_are_distributions() -> None:
    logits = torch.randn(4, 6)
    assert log_probabilities(logits, multi_label=False).exp().sum(dim=-1) == pytest.approx(torch.ones(4))
    pairs = log_probabilities(logits, multi_label=True).exp()
    torch.testing.assert_close(pairs[..., 0], logits.sigmoid())
    torch.testing.assert_close(pairs.sum(dim=-1), torch.ones(4, 6))


def test_divergence_of_hard_targets() -> None:
    """0 log 0 = 0: a class without probability in the target adds nothing, however sure the prediction."""
    target = torch.tensor([[0.0, -200.0]])
    prediction = torch.tensor([[math.log(0.25), math.log(0.75)]])
    assert kl_divergence(target, prediction).item() == pytest.approx(math.log(4))
