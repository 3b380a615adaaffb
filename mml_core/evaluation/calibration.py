"""Probabilities that mean what they say: one temperature for a row, and how far off they are. Pure functions, NumPy.

The temperature T (Guo et al., On Calibration of Modern Neural Networks, 2017) is applied to the fused probabilities p
of a row, p^(1/T) / sum p^(1/T), which for one network is the softmax of its logits by T; where several labels may
hold, to the odds of each. So no temperature changes which class is the best.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from mml_core.evaluation.fusion import fuse, sigmoid, softmax
from mml_core.evaluation.members import Fusion

BINS = 15
FOLDS = 5
#: Temperatures that are looked for; where the best is at an end, the videos do not say which it is.
LEAST, MOST = 0.05, 20.0
_SEED = 0
#: Smallest probability that is told from 0.
_TINY = 1e-12


def fused_probabilities(
    members: Sequence[np.ndarray], weights: Sequence[float], fusion: Fusion, *, multi_label: bool
) -> np.ndarray:
    """Return the probabilities (V, N) of a row from its members' logits of videos, each (V, N), before a temperature.

    They are of the weighted mean of what members say, logits or probabilities as the row's `fusion` has it, and not of
    the sum, so that members that agree on 0.6 say 0.6 together. The order of classes is that of the row's scores.
    """
    mean = fuse(members, weights, fusion, multi_label=multi_label) / sum(weights)
    if fusion == "probabilities":
        return mean
    return sigmoid(mean) if multi_label else softmax(mean)


def at_temperature(probabilities: np.ndarray, temperature: float, *, multi_label: bool) -> np.ndarray:
    """Return `probabilities` (V, N) at a temperature: larger ones are less sure, 1 changes nothing."""
    if temperature == 1.0:
        return probabilities
    logs = np.log(np.maximum(probabilities, _TINY))
    if not multi_label:
        return softmax(logs / temperature)
    return sigmoid((logs - np.log(np.maximum(1 - probabilities, _TINY))) / temperature)


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log likelihood of `labels`, (V,) class indices or (V, N) indicators."""
    if labels.ndim == 1:
        own = np.take_along_axis(probabilities, labels[:, None], axis=1)
        return float(-np.log(np.maximum(own, _TINY)).mean())
    right = np.where(labels > 0, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(right, _TINY)).mean())


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the temperature at which `labels` are the likeliest; None where the videos do not tell.

    That is so where the loss falls until the end of the range: all labels are right, say.
    """
    multi_label = labels.ndim == 2

    def loss(logarithm: float) -> float:
        return log_loss(at_temperature(probabilities, float(np.exp(logarithm)), multi_label=multi_label), labels)

    low, high = np.log(LEAST), np.log(MOST)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    inside = low + 0.01 < found.x < high - 0.01
    return float(np.exp(found.x)) if inside else None


def cross_fitted(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Return the probabilities of each video at a temperature fitted on the others, of `FOLDS` parts of the videos.

    `groups` (V,) are numbers of the videos' groups, which are not parted; a part that tells of no temperature has 1.
    """
    units = np.arange(len(labels)) if groups is None else groups
    count = int(units.max()) + 1
    fold = np.random.default_rng(_SEED).permutation(count) % min(FOLDS, count)
    own = fold[units]
    result = probabilities.copy()
    for number in np.unique(own):
        inside = own == number
        if not inside.all():
            temperature = fit_temperature(probabilities[~inside], labels[~inside]) or 1.0
            result[inside] = at_temperature(probabilities[inside], temperature, multi_label=labels.ndim == 2)
    return result


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error, 0 to 1: the mean distance of probabilities to what holds, by `BINS` bins.

    Of the best class of each video (Naeini et al. 2015; Guo et al., equation 3); with several labels, of all classes.
    """
    if labels.ndim == 1:
        said, holds = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    else:
        said, holds = probabilities.ravel(), labels.ravel() > 0
    bins = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, said - holds, minlength=BINS)
    return float(np.abs(gaps).sum() / len(said))
