"""The mathematics of objectives. Everything is computed in float32 at least, also under autocast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def classification_loss(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Return the mean loss of `logits` (B, N) against the labels (MML, equations 5 and 6).

    One label: cross-entropy with `targets` (B,), divided by B. Several: binary cross-entropy with `targets` (B, N)
    of zeros and ones, divided by B * N.
    """
    if multi_label:
        return F.binary_cross_entropy_with_logits(precise(logits), targets.to(precise(logits).dtype))
    return F.cross_entropy(precise(logits), targets)


def log_probabilities(logits: Tensor, *, multi_label: bool) -> Tensor:
    """Return the logarithms of the predicted distributions, which lie along the last dimension.

    One label: one distribution over the classes, (B, N). Several: for each class one over yes and no, (B, N, 2).
    """
    logits = precise(logits)
    if multi_label:
        return torch.stack([F.logsigmoid(logits), F.logsigmoid(-logits)], dim=-1)
    return F.log_softmax(logits, dim=-1)


def kl_divergence(log_target: Tensor, log_prediction: Tensor) -> Tensor:
    """Return the mean of KL(target || prediction) = sum_n t_n * log(t_n / p_n) over the distributions (MML, eq. 3).

    The distributions lie along the last dimension. So the sum is divided by B with one label, and by B * N with
    several, which keeps the magnitude of the divergence that of the classification loss (MML, appendix B; the paper
    leaves open that each class then has a distribution over yes and no, the only reading in which the divergence
    is zero exactly where the predictions agree).
    """
    return F.kl_div(log_prediction, log_target, reduction="none", log_target=True).sum(dim=-1).mean()


def precise(logits: Tensor) -> Tensor:
    """Return `logits` in float32, or as they are where they are more precise."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
