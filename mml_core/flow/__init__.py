"""Optical flow in batches, usable alone: TV-L1 on GPUs and processors, OpenCV's algorithms behind the same interface.

from mml_core.flow import Tvl1, choose_engine, optical_flow
fields = optical_flow([frames], choose_engine(Tvl1(variant="opencv-cuda")))[0]  # (T, H, W) -> (T - 1, 2, H, W)
"""

from mml_core.config.flow import Dis, Farneback, Tvl1
from mml_core.flow.api import optical_flow
from mml_core.flow.engine import PairEngine, Solution, pixel_iterations
from mml_core.flow.engines import choose_engine

__all__ = ["Dis", "Farneback", "PairEngine", "Solution", "Tvl1", "choose_engine", "optical_flow", "pixel_iterations"]
