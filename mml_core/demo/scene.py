"""What happens in a clip of the embedded data set: size, length, objects and their motion, all drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from mml_core.demo.catalogue import SPLITS, ClipId
from mml_core.demo.figures import STROKE_MOTIONS, draw_figure, draw_rhythm, strokes_done
from mml_core.demo.motions import MOTIONS, Track
from mml_core.demo.sound_classes import SOUND_CLASSES
from mml_core.demo.sprites import Pose, Sprite, background, draw_sprite, paste, with_pictures

SHORT_SIDES_PX = (96, 112, 128, 144, 160)
#: Width : height.
ASPECTS = (Fraction(1), Fraction(5, 4), Fraction(4, 3), Fraction(3, 2), Fraction(3, 4))
FRAME_RATES = (
    Fraction(10),
    Fraction(12),
    Fraction(15),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
)
FRAMES = (14, 24)  #: shortest and longest clip
SOUNDING_SEC = (2.0, 3.0)  #: shortest and longest clip with sound
SHAKE_PX = 2  #: the camera is off by up to this many pixels in x and y, anew in every frame


@dataclass(frozen=True)
class Scene:
    """A clip before it is drawn; the poses are those of the first class of the pair."""

    backdrop: np.ndarray  #: (H + 2 SHAKE_PX, W + 2 SHAKE_PX, 3), uint8
    shake: np.ndarray  #: (T, 2), int: how far everything is off to the right and downwards, in pixels
    frame_rate: Fraction  #: frames a second
    objects: tuple[tuple[Sprite, list[Pose]], ...]  #: from back to front, each with a pose a frame


def draw_clip(seed: int, clip: ClipId, clutter: int = 0) -> tuple[np.ndarray, Fraction]:
    """Return the frames of `clip` (T, H, W, 3), uint8, RGB, and its frame rate in frames a second.

    clutter: still pictures of objects on the background, which change nothing else.
    """
    scene = clip_scene(seed, clip)
    if clutter:
        backdrop = with_pictures(clip_rng(seed, clip, "clutter"), scene.backdrop, clutter)
        scene = replace(scene, backdrop=backdrop)
    return as_shown(clip, frames_of(scene)), scene.frame_rate


def clip_scene(seed: int, clip: ClipId) -> Scene:
    """Return what happens in `clip`, or in its mirror in time where it is of the second class of a pair."""
    if clip.sounding:
        return draw_sounding_scene(seed, clip)
    return draw_scene(clip_rng(seed, clip), pair=clip.label // 2)


Purpose = Literal["clutter", "distances", "sensor", "rhythm", "sound", "voice"]


def clip_rng(seed: int, clip: ClipId, *purpose: Purpose) -> np.random.Generator:
    """Return the generator of all that is drawn of `clip`, or one of its own for each `purpose` that came later."""
    numbers = {"clutter": 1, "distances": 2, "sensor": 3, "rhythm": 4, "sound": 5, "voice": 6}
    split = SPLITS.index(clip.split)
    return np.random.default_rng([seed, split, clip.label, clip.number, *(numbers[one] for one in purpose)])


def as_shown(clip: ClipId, frames: np.ndarray) -> np.ndarray:
    """Return the frames of a scene (T, …) in the order of `clip`: backwards for the second class of a pair."""
    return frames[::-1] if clip.label % 2 and not clip.sounding else frames


def frames_of(scene: Scene) -> np.ndarray:
    """Return the frames (T, H, W, 3), uint8, RGB, of `scene` as the first class of its pair shows it."""
    height, width = (side - 2 * SHAKE_PX for side in scene.backdrop.shape[:2])
    frames = np.empty((len(scene.shake), height, width, 3), np.uint8)
    for time, (dx, dy) in enumerate(scene.shake):
        top, left = SHAKE_PX - dy, SHAKE_PX - dx
        frames[time] = scene.backdrop[top : top + height, left : left + width]
        for sprite, poses in scene.objects:
            pose = poses[time]
            paste(frames[time], sprite, pose._replace(x=pose.x + dx, y=pose.y + dy))
    return frames


def draw_scene(rng: np.random.Generator, pair: int) -> Scene:
    """Draw a scene of the pair of classes 2 `pair` and 2 `pair` + 1."""
    height, width = _size(rng)
    count = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    frame_rate = FRAME_RATES[rng.integers(len(FRAME_RATES))]
    tracks = MOTIONS[pair](rng, _progress(rng, count))
    return Scene(
        backdrop=background(rng, height + 2 * SHAKE_PX, width + 2 * SHAKE_PX),
        shake=rng.integers(-SHAKE_PX, SHAKE_PX + 1, size=(count, 2)),
        frame_rate=frame_rate,
        objects=tuple((draw_sprite(rng), _poses(track, count, height, width)) for track in tracks),
    )


def draw_sounding_scene(seed: int, clip: ClipId) -> Scene:
    """Draw the scene of a clip with sound: the figure of its class, which moves in strokes."""
    rng = clip_rng(seed, clip)
    height, width = _size(rng)
    frame_rate = FRAME_RATES[rng.integers(len(FRAME_RATES))]
    count = round(rng.uniform(*SOUNDING_SEC) * frame_rate)
    done = strokes_done(draw_rhythm(clip_rng(seed, clip, "rhythm")), np.arange(count) / float(frame_rate))
    motion = STROKE_MOTIONS[rng.integers(len(STROKE_MOTIONS))]
    (track,) = motion(rng, done if rng.integers(2) else 1 - done)
    figure = draw_figure(rng, SOUND_CLASSES[clip.label].figure)
    return Scene(
        backdrop=background(rng, height + 2 * SHAKE_PX, width + 2 * SHAKE_PX),
        shake=rng.integers(-SHAKE_PX, SHAKE_PX + 1, size=(count, 2)),
        frame_rate=frame_rate,
        objects=((figure, _poses(track, count, height, width)),),
    )


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Return height and width in pixels, both even as the encoders ask for."""
    short = SHORT_SIDES_PX[rng.integers(len(SHORT_SIDES_PX))]
    aspect = ASPECTS[rng.integers(len(ASPECTS))]
    long = 2 * round(short * max(aspect, 1 / aspect) / 2)
    return (short, long) if aspect >= 1 else (long, short)


def _progress(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return how much of the motion is done in each frame (T,), rising from 0 to 1 at a speed that varies by a half."""
    time = np.linspace(0, 1, count)
    return time + rng.uniform(-0.5, 0.5) * np.sin(2 * np.pi * time) / (2 * np.pi)


def _poses(track: Track, count: int, height: int, width: int) -> list[Pose]:
    """Return the poses in pixels, one a frame, in a frame of `height` and `width` pixels."""
    side = min(height, width)
    *fields, _ = np.broadcast_arrays(*track, np.zeros(count))
    return [
        Pose(width / 2 + side * x, height / 2 + side * y, side * size, a) for x, y, size, a in zip(*fields, strict=True)
    ]
