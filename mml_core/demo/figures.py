"""Objects of a known figure, as the embedded data set with sound shows them, and their motion in strokes."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from mml_core.demo.motions import Motion, approaching, moving_left, turning_clockwise
from mml_core.demo.sound_classes import Figure
from mml_core.demo.sprites import Sprite, draw_sprite, with_soft_edge

#: Any of them, either way: how a figure moves says nothing about the class.
STROKE_MOTIONS: tuple[Motion, ...] = (moving_left, approaching, turning_clockwise)
#: Shortest and longest, from stroke to stroke: a second of sound has at least one whole stroke.
PERIOD_SEC = (0.35, 0.6)
#: Share of a period in which something moves, and sounds; then it rests.
STROKE = 0.6


class Rhythm(NamedTuple):
    """When strokes begin: at `first_sec` plus any whole number of periods, also before the clip."""

    period_sec: float
    first_sec: float  #: 0 to a period


def draw_rhythm(rng: np.random.Generator) -> Rhythm:
    """Draw when the strokes of a clip begin."""
    period = rng.uniform(*PERIOD_SEC)
    return Rhythm(period, rng.uniform(0, period))


def strokes_done(rhythm: Rhythm, times_sec: np.ndarray) -> np.ndarray:
    """Return how much of a motion is done at `times_sec` (T,), ascending: from 0 to 1, in strokes, with rests between.

    They must not all be within one rest.
    """
    beats = (times_sec - rhythm.first_sec) / rhythm.period_sec
    stroke = np.clip((beats - np.floor(beats)) / STROKE, 0, 1)
    done = np.floor(beats) + stroke**2 * (3 - 2 * stroke)
    return (done - done[0]) / (done[-1] - done[0])


def draw_figure(rng: np.random.Generator, figure: Figure) -> Sprite:
    """Return an object of `figure` in a random bright colour, stretched by up to a tenth."""
    return draw_sprite(rng, partial(_opacity, figure=figure), plain=True)


def _opacity(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, *, figure: Figure) -> np.ndarray:
    stretch = rng.uniform(0.9, 1.1)
    return with_soft_edge(_inside(figure, x, y * stretch))


def _inside(figure: Figure, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how far inside of `figure` places are, about: negative outside; the figure has a radius of about 0.85."""
    radius = np.hypot(x, y)
    bar = np.minimum(0.85 - np.abs(x), 0.26 - np.abs(y))
    match figure:
        case "disc":
            return 0.75 - radius
        case "bar":
            return bar
        case "cross":
            return np.maximum(bar, np.minimum(0.85 - np.abs(y), 0.26 - np.abs(x)))
        case "ring":
            return np.minimum(0.8 - radius, radius - 0.5)
        case "star":
            return 0.58 + 0.27 * np.cos(5 * np.arctan2(y, x)) - radius
        case "crescent":
            return np.minimum(0.82 - radius, np.hypot(x - 0.42, y) - 0.6)
        case "triangle":
            sides = [x * np.cos(turn) + y * np.sin(turn) for turn in np.deg2rad([90, 210, 330])]
            return 0.42 - np.maximum.reduce(sides)
