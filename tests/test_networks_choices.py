"""Decisions: discrete, as likely as they should be, with the gradient of the softmax."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mml_core.networks.choices import gumbel_noise, larger, own_noise, straight_through


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.05, 50))
def test_decisions_are_zero_or_one_to_the_bit_and_argmax_at_any_temperature(seed: int, temperature: float) -> None:
    torch.manual_seed(seed)
    scores, noise = torch.randn(40, 3, 2) * 3, gumbel_noise(torch.empty(40, 3, 2))
    decisions = straight_through(scores, noise, temperature)
    assert set(decisions.flatten().tolist()) <= {0.0, 1.0}
    assert torch.equal(decisions, (scores + noise).argmax(dim=-1).float())


@pytest.mark.parametrize("temperature", [0.5, 5.0])
def test_gradient_is_that_of_the_soft_decision_worked_out_by_hand(temperature: float) -> None:
    """With s = sigmoid(d / T) of the difference d of the noisy scores, ds/dd = s (1 - s) / T."""
    scores = torch.tensor([[0.2, -0.4], [1.0, 2.0]], requires_grad=True)
    noise = torch.tensor([[0.1, 1.5], [0.3, -0.2]])
    straight_through(scores, noise, temperature).sum().backward()
    difference = torch.tensor([-0.4 + 1.5 - 0.2 - 0.1, 2.0 - 0.2 - 1.0 - 0.3])
    soft = (difference / temperature).sigmoid()
    slope = soft * (1 - soft) / temperature
    torch.testing.assert_close(scores.grad, torch.stack([-slope, slope], dim=1))


def test_it_is_torchs_hard_gumbel_softmax() -> None:
    scores = torch.randn(500, 2)
    torch.manual_seed(7)
    ours = straight_through(scores, gumbel_noise(scores), 2.0)
    torch.manual_seed(7)
    theirs = F.gumbel_softmax(scores, tau=2.0, hard=True)[:, 1]
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("temperature", [0.1, 10.0])
def test_yes_is_as_likely_as_the_scores_say_whatever_the_temperature(temperature: float) -> None:
    torch.manual_seed(0)
    scores = torch.tensor([0.0, 1.0]).expand(20_000, 2)
    drawn = straight_through(scores, gumbel_noise(scores), temperature).mean().item()
    assert drawn == pytest.approx(0.7311, abs=0.015)  # sigmoid(1); four deviations are 0.0125


def test_the_larger_score_decides_and_no_where_they_are_equal() -> None:
    scores = torch.tensor([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])
    assert larger(scores).tolist() == [1.0, 0.0, 0.0]


def test_noise_of_a_video_is_its_own() -> None:
    """It is the same in any batch, after any other draw, and that of another video is another."""
    videos, scores = torch.randn(4, 3, 5), torch.zeros(4, 2, 3, 2)
    whole = own_noise(scores, videos)
    torch.rand(100)
    order = torch.tensor([2, 0, 3])
    assert torch.equal(own_noise(scores[:3], videos[order]), whole[order])
    assert len({tuple(one.flatten().tolist()) for one in whole}) == 4
    assert torch.equal(own_noise(scores[:1], videos[:1].transpose(1, 2).contiguous().transpose(1, 2)), whole[:1])
