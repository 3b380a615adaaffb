"""Decisions between yes and no: drawn so that gradients go through, the likelier one, and draws that a video keeps.

Convention: scores are (..., 2), of no and of yes; decisions are (...), 0 or 1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gumbel_noise(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return draws from the standard Gumbel distribution, float32, of the shape of `like` and on its device.

    A `generator` is of the CPU; without one they are torch's next ones.
    """
    if generator is None:
        return -torch.empty_like(like, dtype=torch.float32).exponential_().log()
    return -torch.empty(like.shape).exponential_(generator=generator).log().to(like.device)


def straight_through(scores: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Return the decisions argmax(scores + noise), exactly 0 or 1, with the gradient of the softmax at `temperature`.

    This is hard Gumbel-softmax (Jang et al. 2017): yes is drawn with probability softmax(scores), whatever the
    temperature, which shapes the gradient alone: softmax((scores + noise) / temperature).
    """
    noisy = scores.float() + noise
    soft = (noisy / temperature).softmax(dim=-1)[..., 1]
    return (noisy[..., 1] > noisy[..., 0]).float() + (soft - soft.detach())


def larger(scores: Tensor) -> Tensor:
    """Return the decisions with the larger score; no, where they are equal."""
    return (scores[..., 1] > scores[..., 0]).float()


def own_noise(scores: Tensor, videos: Tensor) -> Tensor:
    """Return Gumbel noise for `scores` (B, ...) that is a function of each of the `videos` (B, ...), float32, alone.

    So what is drawn for a video depends neither on its batch nor on what was drawn before.
    """
    seeds = videos.float().flatten(1).contiguous().view(torch.int32).sum(dim=1, dtype=torch.int64).tolist()
    draws = [gumbel_noise(one, torch.Generator().manual_seed(seed)) for one, seed in zip(scores, seeds, strict=True)]
    return torch.stack(draws)
