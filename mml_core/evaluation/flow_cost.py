"""What computing flow takes that networks read: kept with their scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class FlowCost(NamedTuple):
    """GFLOPs, at most, of a modality of flow. R views of V videos.

    views: (R,) those of the fields that a view shows, each field once, in equal parts for all crops of a clip; where
    the network chooses whether it reads them, of the chosen segments alone. whole: (V,) those of all fields of a video.
    """

    views: np.ndarray
    whole: np.ndarray

    def of_videos(self, counts: np.ndarray) -> np.ndarray:
        """Return those of videos (V,) with `counts` (V,) views each: no field is computed more than once."""
        return np.minimum(np.add.reduceat(self.views, counts.cumsum() - counts), self.whole)

    def check(self, counts: np.ndarray) -> None:
        """Raise ValueError where it does not fit videos with `counts` (V,) views each."""
        if (self.views.shape, self.whole.shape) != ((int(counts.sum()),), counts.shape):
            raise ValueError(f"GFLOPs of flow of shapes {self.views.shape} and {self.whole.shape}")
        if not all((np.isfinite(one) & (one >= 0)).all() for one in self):
            raise ValueError("GFLOPs of flow that are not finite, or below 0")
