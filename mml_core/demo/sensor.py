"""What a depth camera reports of exact distances: noise, steps and holes as those of the first Kinect.

Khoshelham and Elberink 2012 (Sensors 12(2), 1437-1454): the camera measures a whole number of disparities d, and
1 / Z = k d. So both the steps of depth, k Z^2, and its standard deviation, half a step, grow with the square of the
distance: 71 and 36 mm at 5 m.
"""

from __future__ import annotations

import cv2
import numpy as np

#: k in 1 / mm: their m / (f b) of 2.85e-5 / cm.
DISPARITY_PER_MM = 2.85e-6
#: Standard deviation of a disparity, in steps.
DEVIATION_STEPS = 0.5
#: Holes are ours: beside an edge of so many millimetres, where the pattern's shadow falls, and anywhere.
EDGE_MM = 150
EDGE_HOLES, HOLES = 0.5, 0.01


def sense(exact_mm: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return readings (T, H, W), uint16, in millimetres, of distances (T, H, W); 0: no reading.

    noise: 1: as that camera; others: steps, deviation and shares of holes are so many times as large; 0: none of them.
    """
    read = measure(exact_mm, noise, rng) if noise else exact_mm
    lost = holes(exact_mm, noise, rng) | (read > np.iinfo(np.uint16).max)
    return np.where(lost, 0, read).round().astype(np.uint16)


def measure(exact_mm: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return distances by noisy whole disparities, of the shape of `exact_mm`; 0 where the disparity is none."""
    step = noise * DISPARITY_PER_MM
    disparity = np.rint(1 / (step * exact_mm) + DEVIATION_STEPS * rng.standard_normal(exact_mm.shape))
    return np.where(disparity > 0, 1 / (step * np.maximum(disparity, 1)), 0)


def holes(exact_mm: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return where distances (T, H, W) have no reading, bool: at edges of objects more often than elsewhere."""
    square = np.ones((3, 3), np.uint8)
    jumps = [cv2.dilate(one, square) - cv2.erode(one, square) for one in exact_mm]
    shares = np.where(np.stack(jumps) > EDGE_MM, EDGE_HOLES, HOLES)
    return rng.random(exact_mm.shape) < noise * shares
