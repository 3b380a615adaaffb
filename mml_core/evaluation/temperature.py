"""The temperature that a row is used with, and what it does to the row's probabilities: in bundles and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from mml_core.config.base import Strict
from mml_core.evaluation.calibration import (
    at_temperature,
    calibration_error,
    cross_fitted,
    fit_temperature,
    fused_probabilities,
    log_loss,
)
from mml_core.evaluation.members import Fusion
from mml_core.evaluation.runs import Run, aligned_logits

#: Digits that a temperature and errors have behind the point.
DIGITS = 6
#: By fewer videos no temperature is fitted.
LEAST_VIDEOS = 20

Share = Annotated[float, Field(ge=0, le=1)]


class Calibration(Strict):
    """How probabilities came to mean what they say.

    Errors are expected calibration errors in 15 bins on the videos of the row's table, before and after.
    """

    temperature: float = Field(default=1.0, gt=0, le=1000)
    fitted_on: str | None = None  # split; None: not fitted
    reason: str = ""  # why it was not
    videos: int = Field(default=0, ge=0)  # that it was fitted on
    cross_fitted: bool = False  # whether each video's probability after is by a temperature of other videos
    error_before: Share | None = None
    error_after: Share | None = None


class Said(NamedTuple):
    """What a row says of V videos, before a temperature, beside the truth."""

    probabilities: np.ndarray  # (V, N), 0..1
    labels: np.ndarray  # (V,) class indices or (V, N) indicators
    groups: np.ndarray | None  # (V,) number of each video's group; None where videos share nothing

    @property
    def multi_label(self) -> bool:
        """Whether a video may have several labels."""
        return self.labels.ndim == 2

    def at(self, temperature: float) -> np.ndarray:
        """Return the probabilities (V, N) at a temperature."""
        return at_temperature(self.probabilities, temperature, multi_label=self.multi_label)


def said_by(run: Run, members: Mapping[str, float], fusion: Fusion) -> Said:
    """Return what the networks `members`, by reference with their weights, say together in a run."""
    logits, labels = aligned_logits(run, list(members))
    weights = list(members.values())
    fused = fused_probabilities(list(logits), weights, fusion, multi_label=labels.ndim == 2)
    return Said(fused, labels, run[next(iter(members))].groups)


def calibrate(said: Said, validation: Said | None) -> Calibration:
    """Return the temperature of a row with its effect on the videos of its table, of which it `said` that.

    validation: what it says of the validation split, `said` itself where the table is of that split; None: there are no
    scores of it.
    """
    before = rounded(calibration_error(said.probabilities, said.labels))
    told = Calibration(error_before=before, error_after=before)
    if validation is None:
        return told.model_copy(update={"reason": "there are no scores of the validation split"})
    fitted, truth, groups = validation
    if len(truth) < LEAST_VIDEOS:
        return told.model_copy(update={"reason": f"{len(truth)} validation videos are too few"})
    temperature = fit_temperature(fitted, truth)
    tried = cross_fitted(fitted, truth, groups)
    if temperature is None or log_loss(tried, truth) >= log_loss(fitted, truth):
        reason = f"on {len(truth)} validation videos none is better than 1 for videos that it was not fitted on"
        return told.model_copy(update={"reason": reason})
    temperature, own = rounded(temperature), validation is said
    return Calibration(
        temperature=temperature,
        fitted_on="validation",
        videos=len(truth),
        cross_fitted=own,
        error_before=before,
        error_after=rounded(calibration_error(tried if own else said.at(temperature), said.labels)),
    )


def rounded(value: float) -> float:
    """Return `value` with the digits that are kept."""
    return round(float(value), DIGITS)
