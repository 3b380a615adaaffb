"""Probabilities of a row in float32 tensors, as `mml_core.evaluation.calibration` has them in NumPy and float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

#: Logarithm of the smallest probability that is told from 0.
_LEAST = math.log(1e-12)


def row_probabilities(
    logits: Sequence[Tensor],
    weights: Sequence[float],
    fusion: Literal["logits", "probabilities"],
    *,
    multi_label: bool,
    temperature: float,
) -> Tensor:
    """Return the probabilities (V, N) of a row from its members' logits of videos, each (V, N), at a temperature.

    They are computed by their logarithms, so that float32 is enough for those next to 0.
    """
    if multi_label:
        yes, no = (
            _fused_logarithms([sign * one for one in logits], weights, fusion, F.logsigmoid) for sign in (1.0, -1.0)
        )
        return torch.sigmoid((yes - no) / temperature)
    return F.softmax(_fused_logarithms(logits, weights, fusion, _log_softmax) / temperature, dim=-1)


def _fused_logarithms(
    logits: Sequence[Tensor],
    weights: Sequence[float],
    fusion: Literal["logits", "probabilities"],
    logarithm: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the logarithms of fused probabilities; `logarithm` takes logits to those of one member's."""
    parts = logits if fusion == "logits" else [logarithm(one).exp() for one in logits]
    mean = sum(weight * part for weight, part in zip(weights, parts, strict=True)) / sum(weights)
    return (logarithm(mean) if fusion == "logits" else mean.log()).clamp(min=_LEAST)


def _log_softmax(logits: Tensor) -> Tensor:
    return F.log_softmax(logits, dim=-1)
