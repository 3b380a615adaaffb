"""Accuracy of two networks together over their weights (Chi et al. 2019, Figure 3). A pure function, NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mml_core.evaluation.fusion import fuse
from mml_core.evaluation.members import Fusion
from mml_core.evaluation.metrics import hits

#: Weights of two networks, from the second one alone to the first one alone.
WEIGHTS = (
    (0, 1),
    (1, 10),
    (1, 5),
    (1, 4),
    (1, 3),
    (1, 2),
    (2, 3),
    (1, 1),
    (3, 2),
    (2, 1),
    (3, 1),
    (4, 1),
    (5, 1),
    (10, 1),
    (1, 0),
)


def accuracies_by_weights(
    first: np.ndarray,
    second: np.ndarray,
    labels: np.ndarray,
    *,
    weights: Sequence[tuple[float, float]] = WEIGHTS,
    k: int = 1,
    fusion: Fusion = "logits",
) -> np.ndarray:
    """Return the top-k accuracy in percent, one for each pair of `weights`.

    Args:
        first, second: logits of videos, each (V, N), of the same videos in the same order.
        labels: true classes (V,), 0 to N - 1.
        weights: of the first and of the second network.
        k: how many classes a video may have its own among.
        fusion: what is weighed and added, as in tables of ensembles.
    """
    scores = (fuse([first, second], pair, fusion, multi_label=False) for pair in weights)
    return np.array([100 * hits(one, labels, k).mean() for one in scores])
