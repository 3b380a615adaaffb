"""What is seen of a video in its decoded frames."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mml_core.doubles.motion import LEAST_CHANGE


class Seen(NamedTuple):
    """What the frames of a video say of it."""

    frames: int
    frame_rate: float  # NaN where the container does not say
    width: int  # of stored frames, pixels
    height: int
    change: float  # mean absolute change of small pictures in a quarter of a second, in grey levels
    pictures: np.ndarray  # (T, SIDE, SIDE) uint8

    @property
    def is_still(self) -> bool:
        """Whether nearly nothing moves in it: as little as encoding changes."""
        return self.change < LEAST_CHANGE
