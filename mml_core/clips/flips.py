"""Horizontal flips in training: of the picture, of the direction of motion, and of labels that name a direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from mml_core.kinds import kind_of


@dataclass(frozen=True)
class FlipPolicy:
    """Whether training clips are mirrored, and what becomes of their labels.

    `label_map[c]` is the class that a mirrored clip of class c shows; None where there is no such class, and then clips
    with that label are never mirrored.
    """

    probability: float
    label_map: tuple[int | None, ...]

    def mirrored_labels(self, labels: Sequence[int]) -> tuple[int, ...] | None:
        """Return the labels of the mirrored clip, or None where it must not be mirrored."""
        mirrored = tuple(other for label in labels if (other := self.label_map[label]) is not None)
        return mirrored if len(mirrored) == len(labels) else None

    def draw(self, labels: Sequence[int], rng: np.random.Generator) -> tuple[int, ...] | None:
        """Toss the coin for one clip: the labels to train with if it is to be mirrored, None if it stays as it is."""
        wanted = rng.random() < self.probability
        return self.mirrored_labels(labels) if wanted else None


def flip_policy(setting: Literal["never", "plain", "swap_direction"], swapped: Sequence[int | None]) -> FlipPolicy:
    """Return the policy for a data set's `horizontal_flip`.

    `swapped` has one entry a class: the class that it becomes when left and right change places, from the classes'
    texts (`mml_core.annotations.swap_direction_labels`). `plain` keeps every label, whatever `swapped` says.
    """
    unchanged = tuple(range(len(swapped)))
    match setting:
        case "never":
            return FlipPolicy(0.0, unchanged)
        case "plain":
            return FlipPolicy(0.5, unchanged)
        case "swap_direction":
            return FlipPolicy(0.5, tuple(swapped))


def mirror(levels: Tensor, kind: str) -> Tensor:
    """Return stored `levels` (..., C, H, W), uint8, as the mirrored video would have them.

    Every plane is mirrored. What changes its sign in the mirror, as horizontal flow (channels 0, 2, … of x1 y1 x2 y2 …)
    does, is negated as well, which about the zero level 128 is 256 - level: levels are 1 to 255, and a 0 that JPEG made
    is taken as 1.
    """
    mirrored = levels.flip(-1)
    row = kind_of(kind)
    for channel in row.mirrored_sign:
        signed = mirrored[..., channel :: row.channels, :, :]
        signed.copy_(255 - signed.clamp(min=1) + 1)
    return mirrored
