"""OpenCV's optical flow on the processor: TV-L1, which the other engines are measured against, DIS and Farnebäck.

All compute one pair after another on one thread, and may be called from several threads at a time: OpenCV computes
outside Python's lock. Making an engine turns off OpenCV's own threads, for the whole process: many pairs side by side
use processors better than one pair on all of them.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.config.flow import Dis, Farneback, Tvl1
from mml_core.flow.levels import SMALLEST_SIDE_PX

#: What OpenCV's functions hold while they compute a pair, bytes a pixel: measured, TV-L1 being the largest.
_OPENCV_BYTES = 140

_DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


class _OpenCvEngine(ABC):
    """A flow engine (see mml_core.flow.engine.PairEngine) around a function of OpenCV for a pair."""

    name = "opencv"
    device = torch.device("cpu")

    def __init__(self) -> None:
        cv2.setNumThreads(1)

    def __call__(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> torch.Tensor:
        """Return the flow, float32 (P, 2, H, W), of `pairs` (P, 2) of `frames` (F, H, W), uint8 or float32 0 to 255.

        initial: flow to start from (P, 2, H, W), left as it is. Raises ValueError for less than 16 pixels a side.
        """
        height, width = frames.shape[1:]
        if min(height, width) < SMALLEST_SIDE_PX:
            raise ValueError(f"expected frames of at least 16 x 16 pixels, got {width} x {height}")
        images = [self._image(frame) for frame in frames.cpu().contiguous()]
        flow = torch.empty((len(pairs), 2, height, width))
        for index, (first, second) in enumerate(pairs.tolist()):
            start = None if initial is None else initial[index].permute(1, 2, 0).float().numpy().copy()
            flow[index] = torch.from_numpy(self._pair(images[first], images[second], start)).permute(2, 0, 1)
        return flow

    def working_bytes(self, height: int, width: int, pairs: int, frames: int) -> int:
        """Return how much memory a batch takes, in bytes: two copies of the frames, flow, and what OpenCV has."""
        return (8 * frames + 8 * pairs + _OPENCV_BYTES) * height * width

    @abstractmethod
    def _image(self, frame: torch.Tensor) -> NDArray[np.generic]:
        """Return a frame (H, W) as OpenCV's function wants it."""

    @abstractmethod
    def _pair(
        self, first: NDArray[np.generic], second: NDArray[np.generic], initial: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the flow (H, W, 2), starting from `initial` (H, W, 2), which may be overwritten."""


class OpenCvTvl1(_OpenCvEngine):
    """TV-L1 by OpenCV's processor version.

    Each thread has an object of its own. It is made anew where the size of the frames changes, since an object that
    has once seen small frames keeps their fewer scales; one at a time, since each holds some 10 MB.
    Raises ValueError for the variant opencv-cuda.
    """

    def __init__(self, settings: Tvl1) -> None:
        if settings.variant == "opencv-cuda":
            raise ValueError("variant opencv-cuda: OpenCV from PyPI is built without CUDA; other engines compute it")
        super().__init__()
        self._settings = settings
        self._local = threading.local()

    def _image(self, frame: torch.Tensor) -> NDArray[np.generic]:
        return frame.numpy() if frame.dtype == torch.uint8 else (frame.float() / 255).numpy()

    def _pair(
        self, first: NDArray[np.generic], second: NDArray[np.generic], initial: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        kind = (first.shape, initial is not None)
        if getattr(self._local, "kind", None) != kind:
            self._local.solver, self._local.kind = self._create(initial is not None), kind
        return self._local.solver.calc(first, second, initial)

    def _create(self, use_initial_flow: bool) -> cv2.optflow.DualTVL1OpticalFlow:
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
            gamma=settings.illumination,
            medianFiltering=settings.median_px,
            useInitialFlow=use_initial_flow,
        )


class OpenCvDis(_OpenCvEngine):
    """Dense inverse search by OpenCV; from 16 x 16 pixels. Frames in floating point are rounded to eight bits.

    An object for each pair, which costs no time: one that is used again gives other flow at sizes such as 40 x 40.
    """

    def __init__(self, settings: Dis) -> None:
        super().__init__()
        self._preset = _DIS_PRESETS[settings.preset]

    def _image(self, frame: torch.Tensor) -> NDArray[np.generic]:
        return (frame if frame.dtype == torch.uint8 else frame.round().clamp(0, 255).byte()).numpy()

    def _pair(
        self, first: NDArray[np.generic], second: NDArray[np.generic], initial: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        return cv2.DISOpticalFlow_create(self._preset).calc(first, second, initial)


class OpenCvFarneback(_OpenCvEngine):
    """Farnebäck's flow by OpenCV. At the edges it is not exactly zero between equal frames (up to some 0.2 pixels)."""

    def __init__(self, settings: Farneback) -> None:
        super().__init__()
        self._settings = settings

    def _image(self, frame: torch.Tensor) -> NDArray[np.generic]:
        return frame.numpy()

    def _pair(
        self, first: NDArray[np.generic], second: NDArray[np.generic], initial: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        settings = self._settings
        return cv2.calcOpticalFlowFarneback(
            first,
            second,
            initial,
            pyr_scale=settings.scale_step,
            levels=settings.scales,
            winsize=settings.window_px,
            iterations=settings.iterations,
            poly_n=settings.neighbourhood_px,
            poly_sigma=settings.smoothing_px,
            flags=0 if initial is None else cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
