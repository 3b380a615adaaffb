"""Textures and textured objects of random shape, and how they are put into a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

#: Side of an object's image in pixels; its shape fits into the circle of this diameter.
SPRITE_PX = 96


#: Images of one object (S, S, 4), uint8, each half the size of the one before: colours times opacity, and opacity.
Sprite = list[np.ndarray]

#: From a generator and places x and y (S, S), -1 to 1, to the opacity of an object there, 0 to 1.
Outline = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


class Pose(NamedTuple):
    """Where an object is in a frame."""

    x: float  #: centre in pixels, to the right
    y: float  #: centre in pixels, downwards
    diameter: float  #: of the circle around the object, in pixels
    angle: float  #: clockwise, in degrees


def texture(rng: np.random.Generator, height: int, width: int, cell_px: float, contrast: float) -> np.ndarray:
    """Return smooth coloured noise (height, width, 3), float32, of mean 0 and standard deviation about `contrast`.

    Three octaves, the coarsest with a random value every `cell_px` pixels.
    """
    noise = np.zeros((height, width, 3), np.float32)
    for octave in range(3):
        cell = max(cell_px / 2**octave, 1.0)
        rows, columns = int(height / cell) + 2, int(width / cell) + 2
        coarse = rng.standard_normal((rows, columns, 3)).astype(np.float32)
        noise += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return noise * (contrast / max(float(noise.std()), 1e-6))


def background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a background (height, width, 3), uint8: noise of low contrast around a colour of medium brightness."""
    colour = rng.uniform(90, 165, size=3).astype(np.float32)
    return _to_bytes(colour + texture(rng, height, width, cell_px=height / 4, contrast=18))


def with_pictures(rng: np.random.Generator, backdrop: np.ndarray, count: int) -> np.ndarray:
    """Return `backdrop` (H, W, 3), uint8, with `count` pictures of random objects of any size, anywhere."""
    height, width = backdrop.shape[:2]
    pictured = backdrop.copy()
    for _ in range(count):
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 360)
        paste(pictured, draw_sprite(rng), Pose(x, y, min(height, width) * rng.uniform(0.25, 0.6), angle))
    return pictured


def random_shape(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the opacity, 0 to 1, of a random closed shape: an ellipse whose outline is bent by a few sine waves."""
    stretch = rng.uniform(1.5, 1.9)
    angle, radius = np.arctan2(y * stretch, x), np.hypot(x, y * stretch)
    outline = np.full_like(radius, 0.8)
    for wave in range(2, 6):
        outline += rng.uniform(-0.1, 0.1) / (wave - 1) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return with_soft_edge(outline - radius)


def with_soft_edge(inside: np.ndarray) -> np.ndarray:
    """Return the opacity, 0 to 1, of places that are `inside` of an outline by so much, in units of half its image."""
    edge_px = 1.5
    return np.clip(inside * SPRITE_PX / 2 / edge_px + 0.5, 0, 1)


def draw_sprite(rng: np.random.Generator, outline: Outline = random_shape, *, plain: bool = False) -> Sprite:
    """Return a random object of some `outline`.

    Unless that says otherwise it is longer than wide. It has a dark and a bright end, so that how it is turned can be
    seen, or is bright as a whole where it is `plain`.
    """
    axis = (np.arange(SPRITE_PX, dtype=np.float32) + 0.5) / SPRITE_PX * 2 - 1
    x, y = np.meshgrid(axis, axis)
    opacity = outline(rng, x, y)
    dark, bright = rng.uniform(0, 90, size=3), rng.uniform(165, 255, size=3)
    along = x + 0.3 * texture(rng, SPRITE_PX, SPRITE_PX, 24, 1.0)[..., 0]
    share = np.ones_like(along)[..., None] if plain else np.clip(0.5 + 2.5 * along, 0, 1)[..., None]
    colours = _to_bytes(dark + (bright - dark) * share + texture(rng, SPRITE_PX, SPRITE_PX, cell_px=16, contrast=22))
    sprite = np.dstack([colours * opacity[..., None], 255 * opacity]).round().astype(np.uint8)
    return [sprite, cv2.pyrDown(sprite), cv2.pyrDown(cv2.pyrDown(sprite))]


def paste(frame: np.ndarray, sprite: Sprite, pose: Pose) -> None:
    """Draw `sprite` over `frame` (H, W, 3), uint8, in place; what lies outside the frame is cut off."""
    layer = place(sprite, pose, *frame.shape[:2])
    below = frame.astype(np.uint16) * (255 - layer[..., 3:].astype(np.uint16))
    frame[:] = np.minimum(layer[..., :3] + (below + 127) // 255, 255)


def place(sprite: Sprite, pose: Pose, height: int, width: int) -> np.ndarray:
    """Return `sprite` at `pose` alone in a frame (height, width, 4), uint8: colours times opacity, and opacity."""
    level = sum(pose.diameter <= SPRITE_PX / 2 ** (n + 1) for n in range(len(sprite) - 1))
    image = sprite[level]
    side = image.shape[0]
    # OpenCV counts angles counter-clockwise, and the centre of the first pixel is 0.
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), -pose.angle, pose.diameter / side)
    matrix[:, 2] += np.array([pose.x, pose.y]) - (side - 1) / 2
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
