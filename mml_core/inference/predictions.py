"""What a model says of videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class WindowPrediction:
    """What a model says of a window of a video, or of all of it."""

    start_sec: float
    end_sec: float
    probabilities: np.ndarray  # (N,) float64
    logits: Mapping[str, np.ndarray]  # (V, N) float32, of each view, by member


@dataclass
class VideoPrediction:
    """What a model says of a video; `error` is why there is nothing, or nothing more."""

    path: Path
    classes: tuple[str, ...]
    windows: list[WindowPrediction] = field(default_factory=list)
    error: str | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """Probabilities (N,) of the whole video: the mean over its windows."""
        return np.mean([window.probabilities for window in self.windows], axis=0)

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.classes[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of the likeliest class."""
        return float(self.probabilities.max())

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` likeliest classes with their probabilities."""
        return best_classes(self.classes, self.probabilities, count)


def best_classes(classes: Sequence[str], probabilities: np.ndarray, count: int) -> list[tuple[str, float]]:
    """Return the `count` likeliest classes with their probabilities; among equal ones the first class comes first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(classes[index], float(probabilities[index])) for index in order]
