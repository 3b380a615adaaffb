"""Depth of the embedded data set: how far everything in a clip is, at half the video's size, pixel over pixel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mml_core.demo.catalogue import ClipId
from mml_core.demo.scene import SHAKE_PX, Scene, as_shown, clip_rng, clip_scene
from mml_core.demo.sensor import sense
from mml_core.demo.sprites import place
from mml_core.errors import InputError

# What recedes gets 1.9 times as far as it is on average, and stays in front of the wall.
WALL_MM = (3300, 4100)  #: the background, in the middle of the frame
SLOPE_MM = 400  #: most that one side of it is nearer than the other
OBJECT_MM = (1250, 1450)  #: the object in front, on average over its way
BEHIND_MM = (700, 1000)  #: how much further the object behind it is
TILT_MM = (80, 160)  #: how much nearer one end of an object is than its middle


def draw_depth(seed: int, clip: ClipId, noise: float) -> np.ndarray:
    """Return the depth of `clip` (T, H / 2, W / 2), uint16, in millimetres, 0: no reading; H and W are the video's.

    noise: of the sensor, as in `mml_core.demo.sensor.sense`.
    """
    exact = distances_of(clip_scene(seed, clip), clip_rng(seed, clip, "distances"))
    return as_shown(clip, sense(exact, noise, clip_rng(seed, clip, "sensor")))


def distances_of(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Return how far everything in `scene` is (T, H / 2, W / 2), float64, in millimetres.

    An object keeps its size: as it grows in the frame it gets nearer. It is a plane, one end nearer than the other.
    """
    height, width = ((side - 2 * SHAKE_PX) // 2 for side in scene.backdrop.shape[:2])
    y, x = np.mgrid[:height, :width]
    slope = rng.uniform(-SLOPE_MM, SLOPE_MM, size=2)
    wall = rng.uniform(*WALL_MM) + slope[0] * (y / height - 0.5) + slope[1] * (x / width - 0.5)
    distances = np.tile(wall, (len(scene.shake), 1, 1))
    middles = np.cumsum([rng.uniform(*OBJECT_MM), *rng.uniform(*BEHIND_MM, size=len(scene.objects) - 1)])[::-1]
    for (sprite, poses), middle_mm in zip(scene.objects, middles, strict=True):
        tilt_mm = rng.uniform(*TILT_MM)
        usual = float(np.exp(np.mean(np.log([pose.diameter for pose in poses]))))
        for map_mm, pose, (dx, dy) in zip(distances, poses, scene.shake, strict=True):
            moved = pose._replace(x=pose.x + dx, y=pose.y + dy)
            opacity = place(sprite, moved, 2 * height, 2 * width)[..., 3]
            inside = cv2.resize(opacity, (width, height), interpolation=cv2.INTER_AREA) >= 128
            right, down = 2 * x + 0.5 - moved.x, 2 * y + 0.5 - moved.y
            turn = np.deg2rad(pose.angle)
            along = (right * np.cos(turn) + down * np.sin(turn)) / (pose.diameter / 2)
            map_mm[inside] = (middle_mm * usual / pose.diameter + tilt_mm * along)[inside]
    return distances


def write_depth(maps_mm: np.ndarray, folder: Path) -> None:
    """Write `maps_mm` (T, h, w), uint16, as `00000001.png` and on into the new folder `folder`, without loss.

    Raises InputError where OpenCV cannot.
    """
    folder.mkdir(parents=True)
    for number, map_mm in enumerate(maps_mm, start=1):
        file = folder / f"{number:08d}.png"
        done, content = cv2.imencode(".png", map_mm)
        if not done:
            raise InputError(
                "OpenCV could not write a PNG of 16 bits", file=file, hint="reinstall opencv-python-headless"
            )
        file.write_bytes(content.tobytes())
