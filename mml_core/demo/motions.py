"""How the objects of the embedded data set move: one function for each pair of classes.

Each draws a motion of the pair's first class. Lengths are in units of the frame's shorter side, positions relative to
its centre, so that everything happens in the central square of a frame, which a centre crop keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Track(NamedTuple):
    """The motion of an object: numbers where it rests, arrays (T,) where it moves."""

    x: np.ndarray | float  #: to the right
    y: np.ndarray | float  #: downwards
    diameter: np.ndarray | float
    angle: np.ndarray | float  #: clockwise, in degrees


#: From a generator and the share of the motion done in each frame (T,) to tracks, from back to front.
Motion = Callable[[np.random.Generator, np.ndarray], list[Track]]


def moving_left(rng: np.random.Generator, done: np.ndarray) -> list[Track]:
    """An object crosses half of the frame from right to left."""
    travel = rng.uniform(0.5, 0.62)
    x = rng.uniform(-0.06, 0.06) + travel * (0.5 - done)
    y = rng.uniform(-0.12, 0.12) + _drift(rng, done, 0.06)
    angle = rng.uniform(0, 360) + _drift(rng, done, 15)
    return [Track(x, y, rng.uniform(0.46, 0.58), angle)]


def approaching(rng: np.random.Generator, done: np.ndarray) -> list[Track]:
    """An object becomes 2.7 to 3.5 times as large."""
    diameter = rng.uniform(0.4, 0.46) * rng.uniform(2.7, 3.5) ** (done - 0.5)
    x = rng.uniform(-0.08, 0.08) + _drift(rng, done, 0.06)
    y = rng.uniform(-0.08, 0.08) + _drift(rng, done, 0.06)
    angle = rng.uniform(0, 360) + _drift(rng, done, 15)
    return [Track(x, y, diameter, angle)]


def covering(rng: np.random.Generator, done: np.ndarray) -> list[Track]:
    """An object comes from above or below over a smaller one that rests in the middle, and hides it."""
    x, y, angle = rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06), rng.uniform(0, 360)
    away = rng.uniform(0.5, 0.6) * (1 - done)
    direction = np.deg2rad(rng.choice([90, 270]) + rng.uniform(-30, 30))
    prop = Track(x, y, rng.uniform(0.32, 0.38), angle)
    cover_angle = angle + rng.uniform(-10, 10) + _drift(rng, done, 15)
    cover = Track(x + away * np.cos(direction), y + away * np.sin(direction), rng.uniform(0.58, 0.68), cover_angle)
    return [prop, cover]


def turning_clockwise(rng: np.random.Generator, done: np.ndarray) -> list[Track]:
    """An object turns clockwise by 140 to 210 degrees."""
    x = rng.uniform(-0.08, 0.08) + _drift(rng, done, 0.06)
    y = rng.uniform(-0.08, 0.08) + _drift(rng, done, 0.06)
    angle = rng.uniform(0, 360) + rng.uniform(140, 210) * done
    return [Track(x, y, rng.uniform(0.56, 0.72), angle)]


#: The motion of each pair, in the order of the classes.
MOTIONS: tuple[Motion, ...] = (moving_left, approaching, covering, turning_clockwise)


def _drift(rng: np.random.Generator, done: np.ndarray, most: float) -> np.ndarray:
    """Return a small motion on top, of up to `most` either way, that says nothing about the class."""
    return rng.uniform(-most, most) * (done - 0.5)
