"""TV-L1 by OpenCV on the processor: the reference that other implementations are measured against."""

from __future__ import annotations

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

from mml_core.config.flow import Tvl1


class OpenCvTvl1:
    """A flow engine (see `mml_core.modalities.flow.FlowEngine`); computes one pair after another.

    May be called from several threads at a time: OpenCV computes outside Python's lock, and each thread has an object
    of its own. It is made anew where the size of the frames changes, since an object that has once seen small frames
    keeps their fewer scales; one at a time, since each holds some 10 MB.
    """

    def __init__(self, settings: Tvl1) -> None:
        self._settings = settings
        self._local = threading.local()
        cv2.setNumThreads(1)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the flow (P, 2, H, W) in pixels from `first` to `second`, grey (P, H, W)."""
        if getattr(self._local, "size", None) != first.shape[1:]:
            self._local.solver, self._local.size = self._create(), first.shape[1:]
        solver = self._local.solver
        fields = [solver.calc(before, after, None) for before, after in zip(first, second, strict=True)]
        return np.ascontiguousarray(np.stack(fields).transpose(0, 3, 1, 2))

    def _create(self) -> cv2.optflow.DualTVL1OpticalFlow:
        settings = self._settings
        return cv2.optflow.DualTVL1OpticalFlow_create(
            tau=settings.time_step,
            lambda_=settings.attachment,
            theta=settings.tightness,
            nscales=settings.scales,
            warps=settings.warps,
            epsilon=settings.stop_px,
            innnerIterations=settings.inner_iterations,  # OpenCV's spelling
            outerIterations=settings.outer_iterations,
            scaleStep=settings.scale_step,
            medianFiltering=settings.median_px,
        )
