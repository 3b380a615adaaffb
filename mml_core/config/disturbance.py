"""What a sensor may do to a modality in testing: noise."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from mml_core.config.base import Strict


class NoiseConfig(Strict):
    """Multiplicative speckle noise, I * n with n from a normal distribution about 1 (Garcia et al. 2018, section 4.4).

    Each number of a picture has an n of its own, which seed, modality, video and item decide, and nothing else: networks,
    protocols, batches and processes of the same seed see the same noise. For the same seed it is the same noise at all
    levels, only stronger.
    """

    level: float = Field(ge=0, le=1e6, description="how strong it is; 0: none")
    measure: Literal["variance", "deviation"] = Field(
        default="variance",
        description="what level is of n: the variance, as the header of Table 3 has it, or the standard deviation, as N(1, σ) "
        "may be read",
    )
    of: Literal["maps", "colours"] = Field(
        default="maps",
        description="maps: on what is stored: distances of depth, else levels, counted from the one that stands for zero (128 "
        "of flow and differences, 0 of rgb), so that zero stays zero; colours: on the picture that a colour map makes of "
        "them. The same where a modality has no colour map",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="seed of the noise")

    @property
    def deviation(self) -> float:
        """The standard deviation of n."""
        return math.sqrt(self.level) if self.measure == "variance" else self.level
